# The body of vllm.sh. The lines above it, made by Go, set VERSION, SPEC (the
# identity of what is installed) and PORT, DOWNLOAD (a folder), the exports of
# the model's env, requirements() and serve().

phase() { printf 'dail-phase: %s\n' "$*"; }

# put writes a small file as a whole or not at all.
put() { printf '%s\n' "$2" >"$dir/$1.new" && mv -f "$dir/$1.new" "$dir/$1"; }

# image takes the vLLM on the PATH, if it is the one that is asked for.
image() {
  vllm=$(command -v vllm) || return 1
  # The version is the last word; a build's local part (+cu128) does not count.
  found=$("$vllm" --version 2>/dev/null | tail -n 1)
  found=${found##* }
  found=${found%%+*}
  if [ -n "$VERSION" ] && [ "$found" != "$VERSION" ]; then
    phase "install the image has vLLM ${found:-of unknown version}, not $VERSION"
    return 1
  fi
  phase "install using the image's vLLM $found"
}

# venv installs the pinned vLLM, where an earlier start has not done so.
venv() {
  venv=$root/venv-$VERSION
  vllm=$venv/bin/vllm
  if [ "$(line "$venv/.dail")" = "$SPEC" ] && [ -x "$vllm" ]; then
    phase "install using $venv"
    return 0
  fi
  phase "install installing vLLM $VERSION into $venv"
  rm -rf "$venv" "$dir/tmp" && mkdir -p "$dir/tmp" || return 1
  # What is on its way lies where its growth can be seen.
  if command -v uv >/dev/null 2>&1; then
    TMPDIR=$dir/tmp uv venv --python python3 "$venv" &&
      TMPDIR=$dir/tmp requirements uv pip install --no-cache --python "$venv/bin/python" --index-strategy unsafe-best-match
  else
    python3 -m venv "$venv" &&
      TMPDIR=$dir/tmp requirements "$venv/bin/python" -m pip install --no-input --no-cache-dir --disable-pip-version-check --progress-bar off
  fi || return
  rm -rf "$dir/tmp"
  if ! [ -x "$vllm" ]; then
    echo "ERROR: $vllm is not there after the install" >&2
    return 1
  fi
  printf '%s\n' "$SPEC" >"$venv/.dail"
}

main() {
  if ! image; then
    if [ -z "$VERSION" ]; then
      echo "ERROR: there is no vllm on the PATH, and no version is pinned" >&2
      return 127
    fi
    venv || return
  fi
  [ -z "$stopped" ] || return 143
  phase "start starting vllm serve on port $PORT"
  mkdir -p "$DOWNLOAD" || return
  : "${HF_HOME:=$DOWNLOAD}"
  export HF_HOME PYTHONUNBUFFERED=1
  PATH=${vllm%/*}:$PATH
  cd "$root" && serve "$vllm"
}

# TERM goes to the whole group: the command that runs ends by it, this shell
# goes on to say how.
stopped=
trap '' HUP
trap 'stopped=1' TERM INT
PORT=${DAIL_PORT:-$PORT}
put vllm.port "$PORT"
put vllm.download "$DOWNLOAD"
put vllm.born "$(birth "$$")"
put vllm.pid "$$"
main
put vllm.exit "$?"
# What vLLM leaves behind would hold the GPU's memory.
kill -s KILL -- "-$$"

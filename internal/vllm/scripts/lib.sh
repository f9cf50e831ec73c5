# What all scripts of this folder begin with.
set -u
root=${DAIL_ROOT:-/workspace}
dir=$root/.dail

# birth prints when process $1 was started, nothing where it is dead. A number
# alone may by now be another process; the switch (package deadman) asks alike.
birth() {
  case $1 in '' | *[!0-9]*) return 0 ;; esac
  if [ -r "/proc/$$/stat" ]; then
    stat=
    { IFS= read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
    # After the name, which may hold anything, the state is the first word.
    set -f
    # shellcheck disable=SC2086 # words are wanted
    set -- ${stat##*) }
    set +f
    [ "${1:-Z}" = Z ] || printf '%s\n' "${20:-}"
  else
    ps -o state= -o lstart= -p "$1" 2>/dev/null | while read -r state born; do
      case $state in Z*) ;; *) printf '%s\n' "$born" ;; esac
    done
  fi
}

# line prints the first line of file $1, and never waits for one.
line() {
  text=
  [ -f "$1" ] && { IFS= read -r text <"$1"; } 2>/dev/null
  printf '%s' "$text"
}

# running reports whether the process group in vllm.pid is the one that wrote
# it; its number is then in pid.
running() {
  pid=$(line "$dir/vllm.pid")
  case $pid in '' | 0 | 1 | *[!0-9]*) return 1 ;; esac
  born=$(birth "$pid")
  [ -n "$born" ] && [ "$born" = "$(line "$dir/vllm.born")" ]
}

nap() { sleep 0.1 2>/dev/null || sleep 1; }

# stop ends what runs, politely first, and leaves nothing of its group.
stop() {
  running || return 0
  group=$pid
  kill -s TERM -- "-$group" 2>/dev/null
  n=0
  while running && [ "$pid" = "$group" ]; do
    n=$((n + 1))
    if [ "$n" -eq 150 ]; then kill -s KILL -- "-$group" 2>/dev/null; fi
    if [ "$n" -gt 200 ]; then
      echo "vLLM, process group $group, does not end" >&2
      return 1
    fi
    nap
  done
  kill -s KILL -- "-$group" 2>/dev/null
  return 0
}

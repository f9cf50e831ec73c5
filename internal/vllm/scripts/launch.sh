# Starts vllm.sh in the background, in the place of one that runs already. It
# comes over stdin, after the exports of what may not lie on a disk.

# A command over SSH does not get the environment of the image, which RunPod's
# images leave here. A machine that names its own root has what it needs.
if [ -z "${DAIL_ROOT:-}" ] && [ -f /etc/rp_environment ]; then
  set +u
  . /etc/rp_environment
  set -u
  unset RUNPOD_API_KEY
fi
stop || exit 1
rm -f "$dir/vllm.pid" "$dir/vllm.born" "$dir/vllm.exit" "$dir/vllm.port" "$dir/vllm.log"
shell=$(command -v bash || command -v sh)
if command -v setsid >/dev/null 2>&1; then
  setsid "$shell" "$dir/vllm.sh" </dev/null >"$dir/vllm.log" 2>&1 &
else
  set -m # a process group of its own, as setsid would give
  "$shell" "$dir/vllm.sh" </dev/null >"$dir/vllm.log" 2>&1 &
  set +m
fi
n=0
until [ -s "$dir/vllm.pid" ]; do
  n=$((n + 1))
  if [ "$n" -gt 100 ]; then
    echo "vllm.sh did not start; see $dir/vllm.log" >&2
    exit 1
  fi
  nap
done
exit 0

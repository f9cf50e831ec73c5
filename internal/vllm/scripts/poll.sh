# One look at vLLM: a line of facts, then what the log has from byte $1 on, or
# its last bytes where $1 is negative. $2 says what else may grow: "install",
# "download", or nothing.
offset=$1 grows=$2

# Whether it lives, then how it ended, then its log: in this order, an end that
# is seen is seen with its last line.
alive=0
if running; then alive=1; fi
status=$(line "$dir/vllm.exit")
size=0
if [ -f "$dir/vllm.log" ]; then size=$(($(wc -c <"$dir/vllm.log"))); fi
if [ "$offset" -lt 0 ]; then offset=$((size + offset > 0 ? size + offset : 0)); fi
if [ "$size" -lt "$offset" ]; then offset=0; fi # another start

kb=0
weigh() {
  [ -d "$1" ] || return 0
  more=$(du -sk "$1" 2>/dev/null | tail -n 1)
  more=${more%%[!0-9]*}
  kb=$((kb + ${more:-0}))
}
case $grows in
install)
  weigh "$dir/tmp"
  for folder in "$root"/venv-*; do weigh "$folder"; done
  ;;
download) weigh "$(line "$dir/vllm.download")" ;;
esac

port=$(line "$dir/vllm.port")
printf 'dail-poll alive=%s status=%s size=%s offset=%s kb=%s port=%s\n' \
  "$alive" "${status:--}" "$size" "$offset" "$kb" "${port:-0}"
if [ "$size" -gt "$offset" ]; then
  tail -c "+$((offset + 1))" "$dir/vllm.log" | head -c 65536
fi
exit 0

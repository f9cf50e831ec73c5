# The body of the switch. The lines above it, made by Go, set TICK, TICK_WHOLE
# (s), LIMIT (ticks), DEADLINE, KEEP (unix s), STAYS (0 or 1), ID and ENDING.
set -uf
umask 077
trap '' HUP
root=${DAIL_ROOT:-/workspace}
dir=$root/.dail
self=$dir/deadman.sh

log() {
  mkdir -p "$dir" 2>/dev/null
  printf '%s deadman[%s]: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$$" "$*" >>"$dir/deadman.log"
} 2>/dev/null

# trim keeps the log small however long the endings fail.
trim() {
  size=$(wc -c <"$dir/deadman.log") || return 0
  [ "$size" -gt 131072 ] || return 0
  tail -c 65536 "$dir/deadman.log" >"$dir/deadman.log.new" && mv -f "$dir/deadman.log.new" "$dir/deadman.log"
} 2>/dev/null

# birth prints when process $1 was started, nothing where it is dead: a number
# alone may by now be another process, above all after a restart of PID 1.
birth() {
  case $1 in '' | *[!0-9]*) return 0 ;; esac
  if [ -r "/proc/$$/stat" ]; then
    stat=
    { IFS= read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
    # After the name, which may hold anything, the state is the first word.
    set -- ${stat##*) }
    [ "${1:-Z}" = Z ] || printf '%s\n' "${20:-}"
  else
    ps -o state= -o lstart= -p "$1" 2>/dev/null | while read -r state born; do
      case $state in Z*) ;; *) printf '%s\n' "$born" ;; esac
    done
  fi
}

line() { # the first line of file $1, at most; never waits
  text=
  [ -f "$1" ] && { IFS= read -r text <"$1"; } 2>/dev/null
  printf '%s' "$text"
}

# other reports whether another living process is the switch of this folder.
other() {
  held=$(line "$dir/deadman.pid")
  pid=${held%% *}
  [ "$pid" != "$$" ] || return 1
  born=$(birth "$pid")
  [ -n "$born" ] && [ "$held" = "$pid $born" ]
}

# claim says that this process is the switch.
claim() {
  [ "$(line "$dir/deadman.pid")" != "$$ $mine" ] || return 0
  mkdir -p "$dir"
  printf '%s %s\n' "$$" "$mine" >"$dir/deadman.pid.$$" && mv -f "$dir/deadman.pid.$$" "$dir/deadman.pid"
} 2>/dev/null

# adopt takes over the parameters of a newer deadman.sh, in this very process:
# it may have an environment that a later login does not get.
adopt() {
  found=
  [ -f "$self" ] && { read -r _ && IFS= read -r found; } <"$self" 2>/dev/null
  case $found in
  "# dail switch $ID" | '') return 0 ;;
  "# dail switch "*) ;;
  *) return 0 ;;
  esac
  [ -x "$shell" ] && "$shell" -n "$self" 2>/dev/null || return 0
  log "new parameters"
  exec "$shell" "$self"
}

number() { case $1 in '' | *[!0-9]* | ????????????????*) echo 0 ;; *) echo "$1" ;; esac; }

# beaten reports whether a heartbeat came since it was asked last.
beaten() {
  beat=$(line "$dir/heartbeat")
  [ -n "$beat" ] && [ "$beat" != "$last" ] || return 1
  last=$beat
}

# due reports whether the machine must end, and leaves the reason in why.
due() {
  now=$(number "$(date +%s)")
  if [ "$DEADLINE" -gt 0 ] && [ "$now" -ge "$DEADLINE" ]; then
    why="the deadline $DEADLINE is over"
    return 0
  fi
  [ "$silent" -ge "$LIMIT" ] || return 1
  keep=$(number "$(line "$dir/keep")")
  [ "$now" -ge "$KEEP" ] && [ "$now" -ge "$keep" ] || return 1
  why="no heartbeat for $silent ticks of $TICK s"
}

# stop signals the process group of vLLM.
stop() {
  pid=$(number "$(line "$dir/vllm.pid")")
  [ "$pid" -gt 1 ] || return 0
  born=$(birth "$pid")
  [ -n "$born" ] && [ "$born" = "$(line "$dir/vllm.born")" ] || return 0
  log "signal $1 to vLLM, process group $pid"
  kill -s "$1" -- "-$pid" 2>/dev/null # dash does not take kill -KILL --
}

# end asks for the end of the machine once.
end() {
  tries=$((tries + 1))
  log "ending the machine, attempt $tries: $why"
  out=$dir/deadman.out
  true >"$out" || out=/dev/null # not ":", after whose failure dash exits
  # Not in an argument list, and bounded in time where the system can do that.
  DAIL_ENDING=$ENDING $bound sh -c 'eval "$DAIL_ENDING"' </dev/null >"$out" 2>&1
  status=$?
  tail -c 4096 "$out" >>"$dir/deadman.log"
  log "attempt $tries: status $status"
  trim
} 2>/dev/null

pause() { sleep "$TICK" 2>/dev/null || sleep "$TICK_WHOLE"; }

main() {
  cd /
  shell=$(command -v bash || command -v sh)
  bound=
  if command -v timeout >/dev/null 2>&1; then bound='timeout -k 5 60'; fi
  mine=$(birth "$$")
  if other; then exit 0; fi
  claim
  last=$(line "$dir/heartbeat") # one that lies there from before says nothing
  silent=0 tries=0 why=
  log "armed: tick $TICK s, silence $LIMIT ticks, deadline $DEADLINE, keep $KEEP"
  while :; do
    if pause; then silent=$((silent + 1)); fi
    if other; then
      log "another one took over"
      exit 0
    fi
    claim
    adopt
    if beaten; then silent=0; fi
    # What has begun is brought to its end: half an ending may have worked.
    [ "$tries" -gt 0 ] || due || continue
    end
    if [ "$status" -eq 0 ] && [ "$STAYS" -eq 1 ]; then
      stop TERM
      pause
      stop KILL
      log "done"
      rm -f "$dir/deadman.pid"
      exit 0
    fi
    if [ "$tries" -eq 1 ]; then stop TERM; else stop KILL; fi
  done
}
main

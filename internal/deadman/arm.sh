# Arms and disarms. The line above, made by Go, sets dail_switch to the whole
# text of the switch.

# dail_alive reports whether the switch of $dir lives; its number is then in pid.
dail_alive() {
  held=
  [ -f "$dir/deadman.pid" ] && { IFS= read -r held <"$dir/deadman.pid"; } 2>/dev/null
  pid=${held%% *}
  case $pid in '' | *[!0-9]*) return 1 ;; esac
  if [ -r "/proc/$$/stat" ]; then
    stat=
    { IFS= read -r stat <"/proc/$pid/stat"; } 2>/dev/null || return 1
    set -- ${stat##*) }
    [ "${1:-Z}" != Z ] && [ "$held" = "$pid ${20:-}" ]
  else
    ps -o state= -o lstart= -p "$pid" 2>/dev/null | {
      read -r state born && case $state in Z*) false ;; *) [ "$held" = "$pid $born" ] ;; esac
    }
  fi
}

# dail_arm writes the switch and sees that one runs.
dail_arm() (
  set -uf
  umask 077
  dir=${DAIL_ROOT:-/workspace}/.dail
  self=$dir/deadman.sh
  shell=$(command -v bash || command -v sh)

  detached() {
    if command -v setsid >/dev/null 2>&1; then
      setsid "$@" </dev/null >/dev/null 2>&1 &
    else
      (trap '' HUP; exec "$@" </dev/null >/dev/null 2>&1) &
    fi
  }

  if mkdir -p "$dir" && chmod 700 "$dir" && printf '%s\n' "$dail_switch" >"$self.$$" && mv -f "$self.$$" "$self"; then
    # A living one takes the new parameters over by itself, within a tick.
    if dail_alive; then exit 0; fi
    detached "$shell" "$self"
  else
    # Without a place to write there is no heartbeat either; the deadline holds.
    detached "$shell" -c "$dail_switch"
    exit 1
  fi
  n=0
  until dail_alive; do
    n=$((n + 1))
    if [ "$n" -gt 100 ]; then
      echo "dail: the switch did not start; see $dir/deadman.log" >&2
      exit 1
    fi
    sleep 0.1 2>/dev/null || sleep 1
  done
)

# dail_disarm ends the switch. The file goes first: nobody starts from it then.
dail_disarm() (
  set -uf
  dir=${DAIL_ROOT:-/workspace}/.dail
  rm -f "$dir/deadman.sh"
  n=0
  while dail_alive; do
    n=$((n + 1))
    if [ "$n" -gt 100 ]; then
      echo "dail: the switch, process $pid, does not end" >&2
      exit 1
    fi
    kill -s KILL "$pid" 2>/dev/null
    sleep 0.1 2>/dev/null || sleep 1
  done
  rm -f "$dir/deadman.pid"
)

# Ends this pod from the inside. The line above, made by Go, sets api (REST v2)
# and graphql. Whether a pod's own key may do it by one of these ways is not
# certain (runpod.md §5), so all are gone. Each prints the status that came
# back, and none the key, which goes to the clients by their standard input.
LC_ALL=C
agent='dail-switch/0.1 (+https://github.com/x/dail)'

# value prints variable $1 of the container: this process's, else that of PID 1
# (a login by SSH has it not), else what the image's start wrote down.
value() {
  eval "found=\${$1-}"
  if [ -z "$found" ] && [ -r /proc/1/environ ]; then
    found=$({ tr '\0' '\n' </proc/1/environ | sed -n "s/^$1=//p" | head -n 1; } 2>/dev/null)
  fi
  written=${DAIL_RP_ENVIRONMENT:-/etc/rp_environment}
  if [ -z "$found" ] && [ -r "$written" ]; then
    found=$(sed -n "s/^export $1=//p" "$written" | head -n 1 | tr -d '"')
  fi
  case $found in
  *[!A-Za-z0-9._~+/=-]*) ;; # is no id and no key, and would break a header
  *) printf '%s' "$found" ;;
  esac
}

# client finds a program that takes the key by its standard input (wget does not).
client() {
  if command -v curl; then
    client=curl
  elif command -v python3; then
    client=python3
  else
    client=
  fi
} >/dev/null 2>&1

# send METHOD URL [BODY] prints the answer: lines HTTP/… <status> …, and the body.
send() {
  case $client in
  curl)
    [ "$#" -lt 3 ] || set -- "$1" "$2" -d "$3"
    method=$1 url=$2
    shift 2
    printf 'header = "Authorization: Bearer %s"\n' "$key" |
      curl -q -s -i -m 10 -K - -A "$agent" -H 'Content-Type: application/json' -X "$method" "$@" "$url"
    ;;
  python3)
    printf '%s' "$key" | python3 -c '
import sys, urllib.request as r
class Stay(r.HTTPRedirectHandler):
    def redirect_request(self, *_): return None
method, agent, url = sys.argv[1:4]
body = sys.argv[4].encode() if len(sys.argv) > 4 else None
head = {"Authorization": "Bearer " + sys.stdin.read(), "User-Agent": agent, "Content-Type": "application/json"}
try:
    answer = r.build_opener(Stay).open(r.Request(url, data=body, headers=head, method=method), timeout=10)
except r.HTTPError as e:
    answer = e
print("HTTP/1", answer.getcode())
print(answer.read().decode("utf-8", "replace"))
' "$1" "$agent" "$2" ${3+"$3"} 2>/dev/null
    ;;
  esac
}

# ask NAME METHOD URL [BODY] tries one way over HTTP.
ask() {
  name=$1
  shift
  answer=$(send "$@")
  status=$(printf '%s\n' "$answer" | sed -n 's,^ *HTTP/[0-9.]* \([0-9][0-9][0-9]\).*,\1,p' | tail -n 1)
  case $status:$answer in
  2*'"errors"'*) echo "$name: $status, and errors" ;;
  2*) accepted "$name: $status" ;;
  *) echo "$name: ${status:-no answer} ($client)" ;;
  esac
}

# accepted notes a success. The other ways follow all the same, unless the
# machine ends: a request that was taken may still come to nothing.
accepted() {
  echo "$1"
  ended=0
  sleep 2
}

# tool tries the program that RunPod's images have.
tool() {
  if ! command -v runpodctl >/dev/null 2>&1; then
    echo "runpodctl: there is none"
    return
  fi
  bound=
  if command -v timeout >/dev/null 2>&1; then bound='timeout 15'; fi
  for words in 'remove pod' 'pod delete'; do # old and new
    # shellcheck disable=SC2086 # two words each
    RUNPOD_API_KEY=$key $bound runpodctl $words "$id" >/dev/null 2>&1
    status=$?
    if [ "$status" -eq 0 ]; then
      accepted "runpodctl $words: 0"
      return
    fi
    echo "runpodctl $words: $status"
  done
}

ended=1
id=$(value RUNPOD_POD_ID)
key=$(value RUNPOD_API_KEY)
client
if [ -z "$id" ]; then
  echo "RUNPOD_POD_ID is not to be found"
  exit 1
fi
if [ -z "$key" ]; then
  echo "RUNPOD_API_KEY is not to be found"
elif [ -z "$client" ]; then
  echo "there is neither curl nor python3"
else
  ask 'v2 DELETE' DELETE "$api/pods/$id"
  ask 'GraphQL podTerminate' POST "$graphql" "{\"query\":\"mutation { podTerminate(input: {podId: \\\"$id\\\"}) }\"}"
fi
tool
exit "$ended"

#!/usr/bin/env bash
# Runs two services on the same Postgres and Redis and exhausts the quota of one: the other must not be affected.
#
#   dev/with-services FOLDER template/neighbours.sh BINARY BINARY
set -euo pipefail
[ $# -eq 2 ] || {
  sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
  exit 2
}
. "$(dirname "$0")/../dev/lib.sh"
export CONFIG_DIR=services/api/config APP__RATE_LIMIT__BURST=3 APP__RATE_LIMIT__PER_SECOND=1
SERVER=${APP__DATABASE__URL%/*}
STARTED=()
trap 'kill ${STARTED[@]+"${STARTED[@]}"} 2>/dev/null || true; wait' EXIT

serve() { # BINARY PORT
  export APP__HTTP__PORT=$2 APP__HTTP__MANAGEMENT_PORT
  APP__HTTP__MANAGEMENT_PORT=$(free_port $(($2 + 100)))
  echo "DROP DATABASE IF EXISTS neighbour_$2; CREATE DATABASE neighbour_$2" | tr ';' '\n' | sed 's/$/;/' | $PSQL --quiet --output=/dev/null
  export APP__DATABASE__URL=$SERVER/neighbour_$2
  "$1" migrate
  "$1" serve 2>/dev/null &
  STARTED+=($!)
  local tries=0
  until curl --silent --fail --output /dev/null "http://127.0.0.1:$APP__HTTP__MANAGEMENT_PORT/readyz"; do
    tries=$((tries + 1))
    [ $tries -lt 200 ] || die "$1 did not become ready"
    sleep 0.1
  done
}

answers() { # PORT COUNT: the statuses, on one line
  curl --silent --output /dev/null --write-out '%{http_code} ' -H "Authorization: Bearer $TOKEN" "http://127.0.0.1:$1/v1/orders?limit=[1-$2]"
}

TOKEN=$("$1" token --subject alice)
one=$(free_port 18300)
serve "$1" "$one"
other=$(free_port $((one + 1)))
serve "$2" "$other"
used_up=$(answers "$one" 4)
untouched=$(answers "$other" 3)
for port in "$one" "$other"; do echo "DROP DATABASE neighbour_$port WITH (FORCE);" | $PSQL --quiet --output=/dev/null; done
[ "$used_up" = "200 200 200 429 " ] || die "the first service returned $used_up"
[ "$untouched" = "200 200 200 " ] || die "the second service was affected: $untouched"
say "the quota of one is exhausted ($used_up), the other is not affected ($untouched)"

# shellcheck shell=bash
# Postgres and Redis for `make run`, `make test` and others. Sourced after lib.sh.
#
#   start_services FOLDER   sets APP__DATABASE__URL and APP__REDIS__URL, and PSQL to a command that opens the database
#   stop_services           stops only what start_services started
#
# Each service comes from the first of these that is available: its variable, if set; a running Docker engine
# (docker-compose.yml); local programs, which are installed if possible. SERVICES_FROM=docker or SERVICES_FROM=local
# chooses between the last two. Local programs keep their data under .dev/FOLDER.

STARTED=()

start_services() {
  FOLDER=$1
  DATA=$PWD/.dev/$FOLDER
  DATABASE=$(service_name | tr - _)
  mkdir -p "$DATA"
  local wanted=()
  if [ -n "${APP__DATABASE__URL:-}" ]; then
    say "Postgres: APP__DATABASE__URL is set"
    export PSQL="psql $APP__DATABASE__URL"
  else
    wanted+=(postgres)
  fi
  if [ -n "${APP__REDIS__URL:-}" ]; then say "Redis: APP__REDIS__URL is set"; else wanted+=(redis); fi
  [ ${#wanted[@]} -gt 0 ] || return 0

  case ${SERVICES_FROM:-} in
    docker) start_with_docker "${wanted[@]}" || die "docker compose could not start ${wanted[*]}; the reason is above" ;;
    local) start_locally "${wanted[@]}" ;;
    "")
      if docker_runs && start_with_docker "${wanted[@]}"; then return 0; fi
      start_locally "${wanted[@]}"
      ;;
    *) die "SERVICES_FROM is '$SERVICES_FROM'; it must be docker or local" ;;
  esac
}

stop_services() {
  local stop
  # The empty-array form that bash 3.2 accepts under `set -u`.
  for stop in ${STARTED[@]+"${STARTED[@]}"}; do "$stop" || true; done
  STARTED=()
}

# --- Docker ---------------------------------------------------------------------------------------------

docker_runs() { has docker && docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; }

compose_project() { echo "$(service_name | tr _ -)-$FOLDER"; }

compose() { docker compose --project-name "$(compose_project)" "$@"; }

start_with_docker() {
  docker_runs || {
    echo "no Docker engine with compose responds" >&2
    return 1
  }
  say "starting $* with docker compose"
  export POSTGRES_PORT REDIS_PORT POSTGRES_DB=$DATABASE
  POSTGRES_PORT=$(free_port 15432)
  REDIS_PORT=$(free_port 16379)
  if ! compose up --detach --wait "$@" >&2; then
    compose down --volumes >/dev/null 2>&1
    say "docker compose could not start them"
    return 1
  fi
  STARTED+=(stop_docker)
  PSQL="docker compose --project-name $(compose_project) exec -T postgres psql --username=app $DATABASE"
  export PSQL
  announce "$@"
}

stop_docker() {
  say "stopping the containers"
  compose down --volumes >/dev/null 2>&1
}

# --- Local programs -------------------------------------------------------------------------------------

start_locally() {
  local service
  for service in "$@"; do find_program "$service" || install_programs "$@"; done
  for service in "$@"; do find_program "$service" || die "$service is installed, but its program cannot be found; add its folder to PATH"; done
  for service in "$@"; do "start_local_$service"; done
  announce "$@"
}

find_program() {
  local folder
  case $1 in
    redis) has redis-server ;;
    postgres)
      # The newest version wins. Debian and Homebrew do not put the server's programs into PATH.
      for folder in "$(dirname "$(command -v initdb || echo /none)")" \
        /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin \
        $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5,5n); do
        if [ -x "$folder/initdb" ] && [ -x "$folder/pg_ctl" ]; then POSTGRES_BIN=$folder; fi
      done
      [ -n "${POSTGRES_BIN:-}" ]
      ;;
  esac
}

install_programs() {
  local root=()
  if has apt-get; then
    if [ "$(id -u)" != 0 ]; then
      sudo -n true 2>/dev/null ||
        die "Postgres and Redis are missing, and installing them needs a password; run: sudo apt-get install postgresql redis-server"
      root=(sudo -n)
    fi
    say "installing postgresql and redis-server with apt-get"
    ${root[@]+"${root[@]}"} apt-get update -qq >&2 || die "apt-get update failed; the reason is above"
    ${root[@]+"${root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      postgresql redis-server >&2 || die "apt-get could not install postgresql and redis-server; the reason is above"
  elif has brew; then
    say "installing postgresql@17 and redis with Homebrew"
    brew install postgresql@17 redis >&2 || die "Homebrew could not install postgresql@17 and redis; the reason is above"
  else
    die "Postgres and Redis are missing; start Docker, or install both servers (postgres, redis-server)"
  fi
}

# Postgres refuses to run as root.
as_postgres() {
  if [ "$(id -u)" = 0 ]; then
    setpriv --reuid="$POSTGRES_USER_NAME" --regid="$(id -g "$POSTGRES_USER_NAME")" --clear-groups "$@"
  else
    "$@"
  fi
}

start_local_postgres() {
  choose_postgres_folder
  local server=$POSTGRES_FOLDER/data log=$POSTGRES_FOLDER/postgres.log port speed=()
  refuse_what_does_not_fit "$server"
  if [ ! -d "$server" ]; then create_cluster "$server"; fi
  # Tests discard their databases, so nothing has to survive a power failure.
  if [ "$FOLDER" = test ]; then speed=(-c fsync=off -c synchronous_commit=off -c full_page_writes=off); fi
  port=$(free_port 15432)
  STARTED+=(stop_local_postgres)
  if ! as_postgres "$POSTGRES_BIN/pg_ctl" --pgdata="$server" --log="$log" --wait --timeout=60 --silent start \
    --options="-c port=$port -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=500 ${speed[*]-}" >&2; then
    tail -n 5 "$log" >&2
    die "Postgres did not start; the end of its log is above, the whole log is $log. To start from scratch, delete $POSTGRES_FOLDER"
  fi
  export APP__DATABASE__URL=postgres://app:app@127.0.0.1:$port/$DATABASE
  export PSQL="$POSTGRES_BIN/psql $APP__DATABASE__URL"
  local psql=("$POSTGRES_BIN/psql" --quiet --no-psqlrc --tuples-only --no-align "${APP__DATABASE__URL%/*}/postgres")
  if [ -z "$("${psql[@]}" --command="SELECT 1 FROM pg_database WHERE datname = '$DATABASE'")" ]; then
    "${psql[@]}" --command="CREATE DATABASE \"$DATABASE\"" || die "the database $DATABASE could not be created; the reason is above"
  fi
}

# Sets a folder that the unprivileged user can access. Below root's home there is none; then the data is kept in a
# temporary folder, which is deleted at the end.
choose_postgres_folder() {
  POSTGRES_FOLDER=$DATA/postgres
  [ "$(id -u)" = 0 ] || {
    mkdir -p "$POSTGRES_FOLDER"
    return 0
  }
  POSTGRES_USER_NAME=postgres
  id postgres >/dev/null 2>&1 || POSTGRES_USER_NAME=nobody
  mkdir -p "$POSTGRES_FOLDER"
  if ! as_postgres test -x "$POSTGRES_FOLDER"; then
    POSTGRES_FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/postgres.XXXXXX")
    TEMPORARY_FOLDER=$POSTGRES_FOLDER
    say "the user $POSTGRES_USER_NAME cannot access $DATA: Postgres keeps its data in $POSTGRES_FOLDER until it stops"
  fi
  chown "$POSTGRES_USER_NAME" "$POSTGRES_FOLDER"
}

# initdb works in a temporary folder, so that an existing cluster is always complete.
create_cluster() {
  say "creating a Postgres cluster in ${1#"$PWD"/}"
  local password=$POSTGRES_FOLDER/password
  rm -rf "$1.new"
  echo app >"$password"
  [ "$(id -u)" != 0 ] || chown "$POSTGRES_USER_NAME" "$password"
  as_postgres "$POSTGRES_BIN/initdb" --pgdata="$1.new" --username=app --pwfile="$password" --auth=scram-sha-256 \
    --encoding=UTF8 --no-locale --no-sync >"$POSTGRES_FOLDER/initdb.log" 2>&1 ||
    die "the Postgres cluster could not be created; the reason is in $POSTGRES_FOLDER/initdb.log"
  rm -f "$password"
  mv "$1.new" "$1"
}

refuse_what_does_not_fit() {
  local pid version
  [ -d "$1" ] || return 0
  if [ -f "$1/postmaster.pid" ]; then
    pid=$(head -n 1 "$1/postmaster.pid")
    if ps -p "$pid" -o comm= 2>/dev/null | grep -q postgres; then
      die "Postgres is already running on ${1#"$PWD"/} (process $pid): stop the other \`make $FOLDER\`, or that process with \`kill $pid\`"
    fi
  fi
  version=$(cat "$1/PG_VERSION")
  case $("$POSTGRES_BIN/postgres" --version) in
    *" $version."* | *" $version "* | *" $version") ;;
    *) die "${1#"$PWD"/} was created by Postgres $version, but $POSTGRES_BIN is another version; delete .dev to start from scratch" ;;
  esac
}

stop_local_postgres() {
  say "stopping Postgres"
  as_postgres "$POSTGRES_BIN/pg_ctl" --pgdata="$POSTGRES_FOLDER/data" --mode=fast --wait --silent stop >/dev/null 2>&1
  if [ -n "${TEMPORARY_FOLDER:-}" ]; then rm -rf "$TEMPORARY_FOLDER"; fi
}

start_local_redis() {
  local port
  port=$(free_port 16379)
  mkdir -p "$DATA/redis"
  rm -f "$DATA/redis/redis.pid"
  STARTED+=(stop_local_redis)
  redis-server --port "$port" --bind 127.0.0.1 --dir "$DATA/redis" --save "" --appendonly no --daemonize yes \
    --pidfile "$DATA/redis/redis.pid" --logfile "$DATA/redis/redis.log" >/dev/null ||
    die "Redis did not start; the reason is in $DATA/redis/redis.log"
  local tries=0
  until port_in_use "$port"; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || die "Redis does not respond on port $port; its log is $DATA/redis/redis.log"
    sleep 0.1
  done
  export APP__REDIS__URL=redis://127.0.0.1:$port
}

stop_local_redis() {
  say "stopping Redis"
  local pid
  pid=$(cat "$DATA/redis/redis.pid" 2>/dev/null) || return 0
  kill "$pid" 2>/dev/null || return 0
  while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
}

announce() {
  local service
  for service in "$@"; do
    case $service in
      postgres)
        : "${APP__DATABASE__URL:=postgres://app:app@127.0.0.1:${POSTGRES_PORT:-}/$DATABASE}"
        export APP__DATABASE__URL
        say "Postgres: $APP__DATABASE__URL"
        ;;
      redis)
        : "${APP__REDIS__URL:=redis://127.0.0.1:${REDIS_PORT:-}}"
        export APP__REDIS__URL
        say "Redis: $APP__REDIS__URL"
        ;;
    esac
  done
}

#!/usr/bin/env bash
# Generates projects from the last commit and checks that they build, pass their own checks and serve.
#
#   template/check.sh      needs the tools of `make check` and `make new`, jq and python3; takes about as long as three `make check`
set -euo pipefail
[ $# -eq 0 ] || {
  sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
  exit 2
}
cd "$(dirname "$0")/.."
. dev/lib.sh
ROOT=$PWD
OWN_NAME=$(service_name)
# One build folder for all generated projects, separate from this repository's. cargo distinguishes projects with the
# same layout only by the age of their files, so each project is touched before it is built.
export CARGO_TARGET_DIR=$ROOT/target/template
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
chmod 755 "$WORK" # Postgres runs as another user and needs access.

# The commands in the blocks of a README, without their comments.
commands_of() { sed -n '/^```sh$/,/^```$/p' "$1" | sed '/^```/d; s/ *#.*//'; }

enter() {
  cd "$WORK/$1"
  find . -path ./.git -prune -o -type f -exec touch {} +
}

generated_under_the_own_name_is_the_same() {
  say "1/5 a project with the same name differs only in its twins"
  mkdir "$WORK/export"
  git archive HEAD | tar -x -C "$WORK/export"
  (cd "$WORK/export" && sed -n '/^ignore/,/^]/s/^ *"\(.*\)",/\1/p' cargo-generate.toml | xargs rm -rf cargo-generate.toml)
  find "$WORK/export" -name '*.liquid' -delete
  template/new.sh "$OWN_NAME" "$WORK"
  # A twin that is not rendered still has its braces.
  if grep -rn '{{ *project-name' "$WORK/$OWN_NAME" >&2; then die "cargo-generate.toml does not include every twin"; fi
  diff -r --exclude=.git "$WORK/export" "$WORK/$OWN_NAME" >"$WORK/difference" || true
  # With the same name, every twin but the README renders to the same text. The contract differs in its title.
  grep -v '^[<>0-9-]' "$WORK/difference" | grep -v '^diff .*/README.md ' | grep -v '^diff .*/openapi.json ' >"$WORK/unexpected" || true
  [ "$(diff "$WORK/export/openapi.json" "$WORK/$OWN_NAME/openapi.json" | grep -c '^[<>].*"title": "')" = 2 ] || die "the title of the contract is not the name"
  [ ! -s "$WORK/unexpected" ] || {
    cat "$WORK/difference" >&2
    die "a generated project differs in more than its twins"
  }
}

no_trace_of_the_own_name_is_left() {
  say "2/5 a project with another name does not contain this name"
  template/new.sh my_long-name-2 "$WORK"
  cd "$WORK/my_long-name-2"
  if grep -rIi --exclude-dir=.git "$OWN_NAME" . >&2; then die "the generated project still contains the name $OWN_NAME"; fi
  [ "$(service_name)" = my_long-name-2 ] || die "the generated service is named $(service_name)"
  grep -q 'POSTGRES_DB=my_long_name_2' .env.example || die "the database in .env.example has the wrong name"
  grep -q '^namespace: "my-long-name-2"$' k8s/components/names/kustomization.yaml || die "the namespace has the wrong name"
  # shellcheck disable=SC2016
  grep -q '\${{ github.ref }}' .github/workflows/ci.yml || die "cargo-generate removed the braces from ci.yml"
  if has actionlint; then actionlint .github/workflows/ci.yml; else say "actionlint is not installed (go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12): skipped"; fi
  cmp Cargo.lock "$ROOT/Cargo.lock" || die "the lockfile differs"
}

# Runs each command of the template's README, and then each of the README in the project that they create.
the_commands_of_both_readmes_work() {
  say "3/5 the commands of the README create a project; it passes its own checks, and serves"
  cd "$WORK"
  local command
  while IFS= read -r command <&3; do
    say "README.md: $command"
    case $command in
      "cargo install cargo-generate@"*) has cargo-generate || die "cargo-generate is missing" ;;
      "cargo generate --git <repository> "*) USER=${USER:-$(id -un)} eval "${command/<repository>/\"$ROOT\"}" ;;
      "cd billing") enter billing ;;
      "make run") ;; # the first command of the project's README, below
      *) die "README.md has a command that this check does not know" ;;
    esac
  done 3< <(commands_of "$ROOT/README.md")
  mkdir "$WORK/made"
  (cd "$ROOT" && make new NAME=billing DEST="$WORK/made")
  diff -r --exclude=.git "$WORK/billing" "$WORK/made/billing" || die "cargo generate and make new create different projects"

  while IFS= read -r command <&3; do
    say "the project's README.md: $command"
    case $command in
      "make run") it_serves ;;
      "make test") make --dry-run check | grep -q 'cargo test --workspace' || die "make check does not run make test" ;;
      "make check") make check ;;
      *) die "the project's README.md has a command that this check does not know" ;;
    esac
  done 3< <(commands_of README.md)
}

# Starts `make run` on free ports as the process $run, and waits until it serves.
start_run() {
  local tries=0
  APP__HTTP__PORT=$(free_port 18080) APP__HTTP__MANAGEMENT_PORT=$(free_port 18180)
  export APP__HTTP__PORT APP__HTTP__MANAGEMENT_PORT
  make run >"$WORK/run.log" 2>&1 &
  run=$!
  until grep -q 'Ctrl-C stops everything' "$WORK/run.log"; do
    tries=$((tries + 1))
    if [ $tries -gt 3000 ] || ! kill -0 $run 2>/dev/null; then
      cat "$WORK/run.log" >&2
      die "make run did not start to serve"
    fi
    sleep 0.1
  done
}

it_serves() {
  local run
  find . -path ./.dev -prune -o -path ./.git -prune -o -print | sort >"$WORK/before"
  start_run
  printed_requests_respond_as_announced "$WORK/run.log"
  kill -TERM $run
  wait $run || true
  find . -path ./.dev -prune -o -path ./.git -prune -o -print | sort >"$WORK/after"
  diff "$WORK/before" "$WORK/after" || die "make run left files outside .dev"
}

# Sends each request that `make run` prints, as a reader would copy it. The comment before it begins with its status.
printed_requests_respond_as_announced() { # LOG
  local line export="" status="" sent=0 response
  while IFS= read -r line <&3; do
    case $line in
      "export TOKEN="*) export=$line ;;
      "# "[1-5][0-9][0-9]*) status=${line:2:3} ;;
      "curl -X PUT "*) bash -c "$line" >/dev/null 2>&1 ;;
      "curl "*)
        response=$(bash -c "$export"$'\n'"$line" 2>/dev/null)
        grep -qE "^HTTP/1.1 $status |^ *[0-9]+ $status\$" <<<"$response" || {
          kill -TERM "$run"
          die "make run prints this request with the status $status: $line
the response was: $response"
        }
        sent=$((sent + 1))
        ;;
    esac
  done 3<"$1"
  [ $sent -gt 0 ] || die "make run printed no request"
}

two_projects_on_the_same_servers_do_not_meet() {
  say "4/5 two projects on one Postgres and one Redis do not affect each other"
  (enter "$OWN_NAME" && cargo build --quiet --locked -p api && cp "$CARGO_TARGET_DIR/debug/api" "$WORK/api-b")
  enter my_long-name-2
  cargo build --quiet --locked -p api && cp "$CARGO_TARGET_DIR/debug/api" "$WORK/api-a"
  dev/with-services test "$ROOT/template/neighbours.sh" "$WORK/api-a" "$WORK/api-b"
}

the_recipes_work() {
  say "5/5 the recipes add an endpoint, a job and a dependency, and remove the sample"
  template/new.sh third "$WORK"
  enter third
  for added in endpoint job dependency; do git apply --whitespace=error-all "docs/recipes/add-$added.patch"; done
  cp -R docs/recipes "$WORK/recipes"
  make remove-sample
  diff -r "$WORK/recipes" docs/recipes || die "removing the sample changes the recipes"
  if grep -rIil --exclude-dir=.git --include='*.rs' --include='*.sql' --include='*.sh' 'v1/orders\|order_' . >&2; then die "the lines above still mention the sample"; fi
  if git grep --untracked -nE '(//|#|<!--) sample(: begin|: end| -->)?$' -- ':!docs/recipes' >&2; then die "the lines above still have a sample mark"; fi
  make generate
  make check
  (the_tools_know_every_operation)
}

# Smoke and load print a row for each operation of a project that they were not written for. Runs in a subshell, whose
# exit ends what it started.
the_tools_know_every_operation() {
  local port tool operation
  port=$(free_port 18092)
  python3 -c '
import http.server, sys
class Partner(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{\"redeemed\":true}")
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Partner).serve_forever()' "$port" 2>"$WORK/partner.log" &
  partner=$!
  trap 'kill -TERM $partner ${run:-} 2>/dev/null || true' EXIT
  export APP__PARTNER__URL=http://127.0.0.1:$port
  start_run
  URL=http://127.0.0.1:$APP__HTTP__PORT TOKEN=$("$CARGO_TARGET_DIR/debug/api" token --subject check)
  export URL TOKEN
  make smoke >"$WORK/smoke" || die "make smoke failed: $(cat "$WORK/smoke")"
  DURATION=5 make load >"$WORK/load" || die "make load failed: $(cat "$WORK/load")"
  kill -TERM "$run"
  wait "$run" || true
  jq -r '.paths | to_entries[] | .key as $path | .value | keys[] | ascii_upcase + " " + $path' openapi.json >"$WORK/operations"
  for tool in smoke load; do
    while IFS= read -r operation; do
      grep -qF " $operation " "$WORK/$tool" || die "make $tool prints no row for $operation"
    done <"$WORK/operations"
  done
}

(generated_under_the_own_name_is_the_same)
(no_trace_of_the_own_name_is_left)
(the_commands_of_both_readmes_work)
(two_projects_on_the_same_servers_do_not_meet)
(the_recipes_work)
say "all checks of the template passed"

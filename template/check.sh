#!/usr/bin/env bash
# Generates projects from the last commit and proves that they build, pass their own checks and serve.
#
#   template/check.sh      needs what `make check` and `make new` need; about as long as three `make check`
set -euo pipefail
[ $# -eq 0 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }
cd "$(dirname "$0")/.."
. dev/lib.sh
ROOT=$PWD
OWN_NAME=$(service_name)
# One folder for all generated projects, and not this repository's: cargo tells projects of the same layout apart
# only by the age of their files, so each is touched before it is built.
export CARGO_TARGET_DIR=$ROOT/target/template
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
chmod 755 "$WORK" # Postgres runs as another user and must get through.

enter() {
  cd "$WORK/$1"
  find . -path ./.git -prune -o -type f -exec touch {} +
}

generated_under_the_own_name_is_the_same() {
  say "1/5 a project of the same name is the same but for the twins"
  mkdir "$WORK/export"
  git archive HEAD | tar -x -C "$WORK/export"
  (cd "$WORK/export" && rm -rf $(sed -n '/^ignore/,/^]/s/^ *"\(.*\)",/\1/p' cargo-generate.toml) cargo-generate.toml)
  find "$WORK/export" -name '*.liquid' -delete
  template/new.sh "$OWN_NAME" "$WORK"
  # A twin that is not rendered still has its braces.
  if grep -rn '{{ *project-name' "$WORK/$OWN_NAME" >&2; then die "cargo-generate.toml does not include every twin"; fi
  diff -r --exclude=.git "$WORK/export" "$WORK/$OWN_NAME" >"$WORK/difference" || true
  # Two twins say the same under the own name; the README is another one.
  grep -v '^[<>0-9-]' "$WORK/difference" | grep -v '^diff .*/README.md ' >"$WORK/unexpected" || true
  [ ! -s "$WORK/unexpected" ] || { cat "$WORK/difference" >&2; die "a generated project differs in more than its twins"; }
  both() { sed -n '/^## The first 15 minutes/,/^Where to look next/p' "$1"; }
  diff <(both "$WORK/export/README.md") <(both "$WORK/$OWN_NAME/README.md") >&2 || die "the READMEs differ after \"The first 15 minutes\""
}

no_trace_of_the_own_name_is_left() {
  say "2/5 a project of another name knows nothing of this one"
  template/new.sh my_long-name-2 "$WORK"
  cd "$WORK/my_long-name-2"
  if grep -rIi --exclude-dir=.git "$OWN_NAME" . >&2; then die "the name $OWN_NAME is left in the generated project"; fi
  [ "$(service_name)" = my_long-name-2 ] || die "the generated service is named $(service_name)"
  grep -q 'POSTGRES_DB=my_long_name_2' .env.example || die "the database in .env.example is misnamed"
  grep -q '^namespace: "my-long-name-2"$' k8s/components/names/kustomization.yaml || die "the namespace is misnamed"
  # shellcheck disable=SC2016
  grep -q '\${{ github.ref }}' .github/workflows/ci.yml || die "cargo-generate has eaten the braces of ci.yml"
  if has actionlint; then actionlint .github/workflows/ci.yml; else say "actionlint is not installed (go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12): skipped"; fi
  cmp Cargo.lock "$ROOT/Cargo.lock" || die "the lockfile is another one"
}

it_passes_its_own_checks_and_serves() {
  say "3/5 it passes its own checks, and serves"
  enter my_long-name-2
  make check
  find . -path ./.dev -prune -o -path ./.git -prune -o -print | sort >"$WORK/before"
  APP__HTTP__PORT=$(free_port 18080) APP__HTTP__MANAGEMENT_PORT=$(free_port 18180) dev/run >"$WORK/run.log" 2>&1 &
  local run=$! tries=0 served
  until grep -q 'Ctrl-C stops everything' "$WORK/run.log"; do
    tries=$((tries + 1))
    if [ $tries -gt 3000 ] || ! kill -0 $run 2>/dev/null; then cat "$WORK/run.log" >&2; die "make run did not come to serve"; fi
    sleep 0.1
  done
  # The first of the printed lines, as a reader would copy it.
  served=$(bash -c "$(sed -n '/^export TOKEN/p; /^# 201/,/^curl/p' "$WORK/run.log")" 2>/dev/null)
  kill -TERM $run
  wait $run || true
  case $served in "HTTP/1.1 201 Created"*) ;; *) cat "$WORK/run.log" >&2; die "an order was answered with: $served" ;; esac
  find . -path ./.dev -prune -o -path ./.git -prune -o -print | sort >"$WORK/after"
  diff "$WORK/before" "$WORK/after" || die "make run left something behind besides .dev"
}

two_projects_on_the_same_servers_do_not_meet() {
  say "4/5 two projects on one Postgres and one Redis do not touch each other"
  (enter "$OWN_NAME" && cargo build --quiet --locked -p api && cp "$CARGO_TARGET_DIR/debug/api" "$WORK/api-b")
  enter my_long-name-2
  cargo build --quiet --locked -p api && cp "$CARGO_TARGET_DIR/debug/api" "$WORK/api-a"
  dev/with-services test "$ROOT/template/neighbours.sh" "$WORK/api-a" "$WORK/api-b"
}

the_recipes_work() {
  say "5/5 the recipes: an endpoint, a job and a dependency are added, the sample removed"
  template/new.sh third "$WORK"
  enter third
  for added in endpoint job dependency; do git apply --whitespace=error-all "docs/recipes/add-$added.patch"; done
  cp -R docs/recipes "$WORK/recipes"
  make remove-sample
  diff -r "$WORK/recipes" docs/recipes || die "removing the sample changes the recipes"
  if grep -rIil --exclude-dir=.git --include='*.rs' --include='*.sql' --include='*.sh' 'v1/orders\|order_' . >&2; then die "the sample is still named there"; fi
  if git grep --untracked -nE '(//|#|<!--) sample(: begin|: end| -->)?$' -- ':!docs/recipes' >&2; then die "a mark of the sample is left"; fi
  make generate
  make check
}

(generated_under_the_own_name_is_the_same)
(no_trace_of_the_own_name_is_left)
(it_passes_its_own_checks_and_serves)
(two_projects_on_the_same_servers_do_not_meet)
(the_recipes_work)
say "the template holds"

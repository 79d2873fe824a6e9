#!/usr/bin/env bash
# Tests the queries of the rendered AnalysisTemplates, and that the tests notice what is taken out of them.
#
#   k8s/tests/guard.sh RENDERED.json     a list of objects; needs jq and promtool
set -euo pipefail
[ $# -eq 1 ] || {
  sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
  exit 2
}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/guard.yml" "$work"

queries() { jq --arg of "$2" --arg without "$3" -f "$here/queries.jq" "$1" >"$work/queries.yml"; }

queries "$1" "" ""
[ -s "$work/queries.yml" ] || {
  echo "error: there is no AnalysisTemplate in $1" >&2
  exit 1
}
names=$(jq -r '.groups[].rules[].record' "$work/queries.yml")
promtool test rules "$work/guard.yml" || exit 1

for part in floor unless idle short-window; do
  noticed=0
  for name in $names; do
    queries "$1" "$name" "$part"
    [ -s "$work/queries.yml" ] || continue
    if promtool test rules "$work/guard.yml" >/dev/null 2>&1; then
      echo "error: no test notices that $name has lost its $part (k8s/tests/queries.jq)" >&2
      exit 1
    fi
    echo "  noticed: $name without its $part"
    noticed=1
  done
  [ $noticed = 1 ] || {
    echo "error: no query has a part '$part' as k8s/tests/queries.jq knows it" >&2
    exit 1
  }
done

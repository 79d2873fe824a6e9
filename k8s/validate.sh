#!/usr/bin/env bash
# Renders every overlay and checks what comes of it. No cluster is asked.
#
#   k8s/validate.sh          needs kubectl and jq; uses kubeconform (with go) and promtool where they are installed
#   k8s/validate.sh --all    a tool that is missing is a failure
#
# Checks: nothing is left to fill in; schemas; the rules of k8s/tests/rules.jq; who may talk to whom, against the table
# in docs/ROLLOUTS.md; the images, against docker-compose.yml; the queries of the analysis, and their tests.
set -euo pipefail
usage() { sed -n '2,8s/^# \{0,1\}//p' "$0"; }
case "${1:-} $#" in " 0" | "--all 1") ;; "--help 1" | "-h 1")
  usage
  exit
  ;;
*)
  usage >&2
  exit 2
  ;;
esac
cd "$(dirname "$0")/.."
. dev/lib.sh
ALL=${1:-}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
FAULTS=0

fault() {
  printf 'FAULT  %s\n' "$*" >&2
  FAULTS=$((FAULTS + 1))
}

# CHECK TOOL HOW-TO-INSTALL: whether the tool is there.
can() {
  has "$2" && return
  if [ -n "$ALL" ]; then fault "$1: $2 is not installed ($3)"; else say "$1: skipped, $2 is not installed ($3)"; fi
  return 1
}

has kubectl || die "kubectl is missing: install it from https://kubernetes.io/docs/tasks/tools/ (1.27 or later), then run this again"
has jq || die "jq is missing: install it (apt-get install jq, or brew install jq), then run this again"

render() { # OVERLAY: into $WORK, as YAML and as a list in JSON
  kubectl kustomize "k8s/overlays/$1" >"$WORK/$1.yaml" || die "k8s/overlays/$1 does not render; the reason is above"
  # Without a cluster this is how kubectl turns one into the other.
  kubectl annotate --local --filename "$WORK/$1.yaml" rendered=yes --output json | jq --slurp . >"$WORK/$1.json"
}

placeholders() { # OVERLAY
  # What Argo Rollouts and Prometheus fill in themselves is none.
  if grep -nE 'CHANGEME|TODO|FIXME|example\.(com|org)|\{\{|\{%' "$WORK/$1.yaml" | grep -vE '\{\{args\.|\{\{ \$' >&2; then
    fault "$1: something is left to fill in"
  fi
}

rules() { # OVERLAY
  local environment=$1 broken
  [ "$1" != local ] || environment=development
  broken=$(jq -r --arg environment "$environment" -f k8s/tests/rules.jq "$WORK/$1.json")
  [ -z "$broken" ] || while read -r line; do fault "$1: $line"; done <<<"$broken"
}

network() { # OVERLAY
  jq -r -f k8s/tests/network.jq "$WORK/$1.json" >"$WORK/network" || {
    fault "$1: NetworkPolicies; the reason is above"
    return
  }
  awk -v overlay="$1" '/^<!-- who talks to whom:/ { inside = index($0, overlay); rows = 0 } inside && /^\|/ && ++rows > 2 { print } /^$/ && rows { inside = 0 }' \
    docs/ROLLOUTS.md | sed 's/ <!-- sample -->$//' >"$WORK/documented"
  diff -u --label docs/ROLLOUTS.md "$WORK/documented" --label "what the policies of $1 say" "$WORK/network" >&2 ||
    fault "$1: the table in docs/ROLLOUTS.md is not what the NetworkPolicies say"
}

images() {
  local image
  for image in $(jq -r '.[].spec.template.spec.containers // [] | .[].image' "$WORK/local.json" | grep -v ':local$' | sort -u); do
    grep -q "image: $image\$" docker-compose.yml || fault "local: $image is not an image of docker-compose.yml"
  done
}

rule_files() {
  local file
  for file in observability/prometheus/rules/*.yml; do
    grep -q "^      - ${file#observability/}\$" observability/kustomization.yaml || fault "observability/kustomization.yaml does not list $file"
  done
}

schemas() {
  local overlay locations=(-schema-location "$WORK/schemas/{{.ResourceKind}}{{.KindSuffix}}.json")
  can schemas kubeconform "go install github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0" || return 0
  if can "schemas of Argo Rollouts" go https://go.dev/doc/install; then
    mkdir "$WORK/schemas"
    k8s/tests/schemas.sh "$WORK/schemas" || {
      fault "the schemas could not be made; the reason is above"
      return 0
    }
  else
    # Those of Kubernetes come from kubeconform's own place on the internet.
    locations=(-ignore-missing-schemas)
  fi
  for overlay in "$@"; do
    kubeconform -strict -summary "${locations[@]}" "$WORK/$overlay.yaml" || fault "$overlay: schemas"
  done
}

queries() {
  can queries promtool "go install github.com/prometheus/prometheus/cmd/promtool@v0.316.0" || return 0
  SERVICE_NAME=service promtool check config --syntax-only k8s/components/backing-services/prometheus.yml || fault "prometheus.yml"
  k8s/tests/guard.sh "$WORK/local.json" || fault "the queries of the analysis"
}

overlays=$(cd k8s/overlays && echo *)
for overlay in $overlays; do
  say "$overlay"
  render "$overlay"
  placeholders "$overlay"
  rules "$overlay"
  network "$overlay"
done
images
rule_files
say "schemas"
# shellcheck disable=SC2086
schemas $overlays
say "queries of the analysis"
queries
[ $FAULTS = 0 ] || die "$FAULTS fault(s)"
say "the manifests hold"

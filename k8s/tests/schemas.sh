#!/usr/bin/env bash
# Makes the JSON schemas for `kubeconform -strict`: of Kubernetes, and of the kinds of Argo Rollouts, from their Go modules.
#
#   k8s/tests/schemas.sh FOLDER     needs go, jq and kubectl; downloads some 40 MB the first time
set -euo pipefail
[ $# -eq 1 ] || {
  sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
  exit 2
}
KUBERNETES=k8s.io/kubernetes@v1.34.4
ROLLOUTS=github.com/argoproj/argo-rollouts@v1.10.1

folder_of() { go mod download -json "$1" | jq -r .Dir; }

# No object takes a field that it does not know.
CLOSED='def closed:
  if type == "array" then map(closed)
  elif type != "object" then .
  elif .format == "int-or-string" then { type: ["integer", "string"] }
  elif has("properties") and .["x-kubernetes-preserve-unknown-fields"] != true then { additionalProperties: false } + map_values(closed)
  else map_values(closed) end;'

# Kubernetes: one file with all definitions, and one for each kind that points into it.
swagger=$(folder_of $KUBERNETES)/api/openapi-spec/swagger.json
jq --compact-output "$CLOSED"'{ definitions: (.definitions | map_values(closed)) }' "$swagger" >"$1/definitions"
jq -r '.definitions | to_entries[] | .key as $name | (.value["x-kubernetes-group-version-kind"] // [])[]
  | .kind + (if .group == "" then "" else "-" + (.group | split(".")[0]) end) + "-" + .version + " " + $name' "$swagger" |
  while read -r file name; do
    printf '{"$ref": "definitions#/definitions/%s"}\n' "$name" >"$1/$(printf '%s' "$file" | tr '[:upper:]' '[:lower:]').json"
  done

# Argo Rollouts: its definitions of kinds are YAML, which kubectl turns into JSON.
crds=$(folder_of $ROLLOUTS)/manifests/crds
for kind in rollout analysis-template; do
  kubectl annotate --local --filename "$crds/$kind-crd.yaml" read=yes --output json |
    jq --compact-output "$CLOSED"'.spec.versions[0].schema.openAPIV3Schema | closed' >"$1/${kind/-/}-argoproj-v1alpha1.json"
done

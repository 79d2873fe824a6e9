# shellcheck shell=bash
# What release.sh asks the cluster, and tells it. Sourced, not run; bash 3.2 (macOS) must understand it.

ROLLOUTS=https://github.com/argoproj/argo-rollouts/releases/download/v1.10.1/install.yaml

k() { kubectl --namespace "$NAMESPACE" "$@"; }
elapsed() { echo $((SECONDS - STARTED)); }
left() { echo $((STARTED + DEADLINE - SECONDS)); }
# What is left, as kubectl takes it: less than nothing would be a week.
at_least() { echo "$(($(left) > $1 ? $(left) : $1))s"; } # SECONDS

# COMMAND: what every command needs, and a folder to work in.
begin() {
  ENV=${ENV:-local} DEADLINE=${DEADLINE:-1800} STARTED=$SECONDS
  has kubectl || die "kubectl is missing: install it from https://kubernetes.io/docs/tasks/tools/ (1.30 or later), then run this again"
  [ -f "k8s/overlays/$ENV/kustomization.yaml" ] || die "there is no k8s/overlays/$ENV; ENV is one of: $(cd k8s/overlays && echo *)"
  case $DEADLINE in *[!0-9]* | "") die "DEADLINE is a number of seconds, not '$DEADLINE'" ;; esac
  NAMESPACE=$(sed -n 's/^namespace: "\(.*\)"$/\1/p' k8s/components/names/kustomization.yaml)
  NAME=$(image_name)
  kubectl get --raw /readyz >/dev/null 2>&1 || die "no cluster answers kubectl (context '$(kubectl config current-context 2>/dev/null)'); docs/ROLLOUTS.md says how to get one"
  case $(kubectl api-resources --api-group=argoproj.io --output=name) in
    *rollouts.argoproj.io*) ;;
    *) die "Argo Rollouts is missing: kubectl create namespace argo-rollouts; kubectl apply --server-side --namespace argo-rollouts --filename $ROLLOUTS" ;;
  esac
  [ "$1" = deploy ] || is_deployed || die "nothing is deployed in the namespace $NAMESPACE yet: make deploy ENV=$ENV"
  say "cluster $(kubectl config current-context), namespace $NAMESPACE"
  same_overlay
  WORK=$(mktemp -d) OVERLAY=$(mktemp -d k8s/overlays/.release-XXXXXX)
  trap 'rm -rf "$WORK" "$OVERLAY"' EXIT
  trap 'echo "not followed any more; in the cluster it goes on: make release-status ENV=$ENV, make abort ENV=$ENV" >&2; exit 130' INT TERM
}

# An answer that did not come is no "no".
is_deployed() {
  local there
  there=$(k get rollout api --ignore-not-found --output name) || die "the cluster does not say whether anything is deployed; the reason is above"
  [ -n "$there" ]
}

# A context is easily mistaken for another. Overlays that begin with a dot are made by drills, out of others.
same_overlay() {
  local there
  there=$(k get configmaps --selector release=promoted --sort-by=.metadata.name --output jsonpath='{range .items[*]}{.data.overlay}{"\n"}{end}' | tail -n 1)
  case $there in "" | .* | "$ENV") return ;; esac
  case $ENV in .*) return ;; esac
  die "the overlay $there was deployed to this cluster, not $ENV: give ENV=$there, or choose another cluster (kubectl config use-context …)"
}

# --- what is applied ------------------------------------------------------------------------------------------------

# What `make image` built last, by the name that says its content.
default_image() {
  local id
  [ "$ENV" = local ] && id=$(docker image inspect --format '{{.Id}}' "$NAME-api:local" 2>/dev/null) ||
    die "which image? \`make image\` builds one and prints its name: make deploy ENV=$ENV IMAGE=…"
  id=${id#sha256:}
  echo "$NAME-api:${id:0:12}"
}

# A name that always means the same image.
fixed_name() { # IMAGE
  case $ENV/$1 in
    */*@sha256:*) ;;
    staging/* | production/*) die "$ENV takes an image by digest (name@sha256:…), not $1" ;;
    */*:latest | */*:local) die "$1 means another image after each build; \`make image\` prints a name that does not" ;;
  esac
}

# The overlay with this image, cut into what is applied in turn: needs, migrate, service, worker; release = the last two.
render() { # IMAGE
  local name=${1%@*} digest=${1##*@} tag=""
  if [ "$name" = "$1" ]; then
    digest="" tag=${1##*:} name=${1%:*}
    case $tag in */* | "$1") die "$1 has neither tag nor digest" ;; esac
  fi
  cat >"$OVERLAY/kustomization.yaml" <<K
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../$ENV]
images: [{ name: "$NAME-api", newName: "$name", newTag: "$tag", digest: "$digest" }]
K
  kubectl kustomize "$OVERLAY" >"$WORK/all.yaml" || die "k8s/overlays/$ENV does not render; the reason is above"
  local kind=app.kubernetes.io/component who=app.kubernetes.io/name
  part needs "$kind!=service,$who!=migrate"
  part migrate "$who=migrate"
  part service "$kind=service,$who!=worker"
  part worker "$kind=service,$who=worker"
  part release "$kind=service"
}

part() { kubectl create --dry-run=client --output yaml --filename "$WORK/all.yaml" --selector "$2" >"$WORK/$1.yaml"; }

wait_for_needs() {
  local others='app.kubernetes.io/component!=service' there
  there=$(k get deployments --selector "$others" --output name)
  [ -z "$there" ] || k wait deployment --selector "$others" --for=condition=Available --timeout="$(at_least 1)" >/dev/null ||
    die "what the service needs did not come up in $DEADLINE s. $(hint_pods)"
}

# The Job tries again in a new pod, so there may be several.
migration_said() { # PHASE LINES
  local pods
  pods=$(k get pods --selector batch.kubernetes.io/job-name=migrate --field-selector="status.phase=$1" --sort-by=.metadata.creationTimestamp --output name) &&
    k logs "$(echo "$pods" | tail -n 1)" --tail="$2" || true
}

# A migration that runs is not interrupted: the index that it builds would be left invalid. If its image is ours, so is its
# result; otherwise ours begins after it. A Job whose pod does not start is replaced.
start_migration() {
  local image ready running waited=""
  image=$(sed -n 's/^ *image: *//p' "$WORK/migrate.yaml")
  while :; do
    running=$(k get job migrate --ignore-not-found --output jsonpath='{.status.ready} {.spec.template.spec.containers[0].image}') || return 1
    ready=${running%% *} running=${running#* }
    [ "${ready:-0}" != 0 ] || break
    if [ "$running" = "$image" ]; then
      say "attached to the migration that is running"
      return
    fi
    if [ "$(left)" -le 0 ]; then
      echo "the migration of $running did not end in $(elapsed) s, and goes on: kubectl --namespace $NAMESPACE logs --follow job/migrate"
      return 2
    fi
    [ -n "$waited" ] || say "waiting for the migration of $running, which is running"
    waited=yes
    sleep 1
  done
  k delete job migrate --ignore-not-found >/dev/null && k apply --filename "$WORK/migrate.yaml" >/dev/null
}

# Gives 1 when the migration failed, 2 when it took too long. It must not leave an error to `set -e`: its callers ask.
migrate() {
  local state
  say "the schema"
  start_migration || return $?
  while :; do
    state=$(k get job migrate --output jsonpath='{range .status.conditions[?(@.status=="True")]}{.type} {.reason} {end}') || true
    case $state in
      *Complete*)
        migration_said Succeeded 1
        return 0
        ;;
      *DeadlineExceeded*)
        echo "the migration took longer than its Job may"
        return 2
        ;;
      *Failed*)
        echo "the migration failed:"
        migration_said Failed 5
        return 1
        ;;
    esac
    [ "$(left)" -gt 0 ] || break
    sleep 1
  done
  echo "the migration did not end in $(elapsed) s, and goes on: kubectl --namespace $NAMESPACE logs --follow job/migrate"
  return 2
}

under_way_by() { k get configmap release-under-way --ignore-not-found --output jsonpath='{.data.by}'; }

# --- the Rollout ----------------------------------------------------------------------------------------------------

# Reads what the loops below look at, in one question.
look() {
  IFS='|' read -r GENERATION OBSERVED PHASE ABORTED STEP PODS NEW AVAILABLE HASH STABLE ANALYSIS REASON MESSAGE <<L
$(k get rollout api --output jsonpath='{.metadata.generation}|{.status.observedGeneration}|{.status.phase}|{.status.abort}|{.status.currentStepIndex}|{.status.HPAReplicas}|{.status.updatedReplicas}|{.status.availableReplicas}|{.status.currentPodHash}|{.status.stableRS}|{.status.canary.currentStepAnalysisRunStatus.status}|{.status.conditions[?(@.type=="Progressing")].reason}|{.status.message}' | tr '\n' ' ')
L
}

# As `look`, when the controller has seen what is there: after each scaling, and after its own restart, it is behind.
look_well() {
  local until=$((SECONDS + 30))
  until
    look
    observed
  do
    [ $SECONDS -lt $until ] || die "the controller of Argo Rollouts does not answer: kubectl --namespace argo-rollouts get pods"
    sleep 1
  done
}

observed() { [ -n "$GENERATION" ] && [ "$GENERATION" = "$OBSERVED" ]; }
# It cannot begin: its ReplicaSet may not be made (a quota, an admission policy), or the manifest is wrong. Then the
# status still speaks of the release that serves.
is_refused() { observed && case $REASON/$MESSAGE in ReplicaSetCreateError/* | */InvalidSpec:*) ;; *) return 1 ;; esac }
# What the Rollout names serves; pods may come and go all the same.
is_settled() { observed && ! is_refused && [ "$HASH" = "$STABLE" ]; }
is_healthy() { is_settled && [ "$PHASE" = Healthy ]; }
is_aborted() { observed && [ "$ABORTED" = true ]; }
take_back() { unpause && patch_status '{"abort":true,"promoteFull":false}'; }
message() {
  case $REASON in
    ReplicaSetCreateError) k get rollout api --output jsonpath='{.status.conditions[?(@.type=="Progressing")].message}' ;;
    *) echo "$MESSAGE" ;;
  esac
}
progress() { echo "$PHASE: ${STEP:-0} of $STEPS steps done, ${NEW:-0} of ${PODS:-0} pods are new, ${AVAILABLE:-0} available${ANALYSIS:+, evidence $ANALYSIS}"; }
steps() { k get rollout api --output jsonpath='{range .spec.strategy.canary.steps[*]}x{end}' | wc -c | tr -d ' '; }
image_of() { k get "$1" --output jsonpath='{.spec.template.spec.containers[0].image}'; }
serving_image() { k get replicasets --selector "rollouts-pod-template-hash=$STABLE" --output jsonpath='{.items[0].spec.template.spec.containers[0].image}'; }
patch_status() { k patch rollout api --subresource=status --type=merge --patch "{\"status\":$1}" >/dev/null; }

# While somebody holds the Rollout (spec.paused), nothing moves, back neither.
unpause() { k patch rollout api --type=merge --patch '{"spec":{"paused":false}}' >/dev/null; }

# Without steps and analysis, until all pods are of the release that was applied.
to_the_end_at_once() {
  while look && ! is_healthy; do
    [ "$(left)" -gt 0 ] || return 1
    ! observed || [ "$HASH" = "$STABLE" ] || patch_status '{"promoteFull":true}' || true
    sleep 1
  done
}

# A Rollout is born with one pod, until the autoscaler has seen it.
all_pods_are_there() {
  local wanted
  wanted=$(k get hpa api --output jsonpath='{.spec.minReplicas}')
  until look && is_healthy && [ "${AVAILABLE:-0}" -ge "$wanted" ]; do
    [ "$(left)" -gt 0 ] || return 1
    sleep 1
  done
}

# After an abort, until the pods of the release are gone and the old ones are all there.
wait_until_old_serves() {
  local until=$((SECONDS + 180))
  while
    look
    [ -z "$GENERATION" ] || [ "${NEW:-0}" -gt 0 ] || [ "${AVAILABLE:-0}" -lt "${PODS:-0}" ]
  do
    [ $SECONDS -lt $until ] || {
      echo "[$(elapsed) s] not every old pod is back yet: $(progress). $(hint_pods)"
      return 1
    }
    sleep 1
  done
  echo "[$(elapsed) s] all $AVAILABLE pods are of the old release"
}

# What the analyses of the release that is under way, or was aborted, have found.
reasons() {
  local revision
  revision=$(k get rollout api --output jsonpath='{.metadata.annotations.rollout\.argoproj\.io/revision}') || return 0
  k get analysisruns --selector "rollouts-pod-template-hash=$HASH" --sort-by=.metadata.creationTimestamp \
    --output jsonpath='{range .items[?(@.metadata.annotations.rollout\.argoproj\.io/revision=="'"$revision"'")]}{range .status.metricResults[*]}{.name}|{.phase}|{.successful}|{.failed}|{.error}|{.measurements[-1:].value}{"\n"}{end}{end}' |
    awk -F'|' 'NF { printf "  %-22s %-10s yes %d, no %d, no answer %d; last %s\n", $1, $2, $3, $4, $5, $6 }' || true
}

# --- the error budget -----------------------------------------------------------------------------------------------

# Asks Prometheus as the analyses do. Says what there is to note, on standard output; refuses when it is spent.
budget() {
  local run metrics phase="" tries=0 left seen problem service
  service=$(k get rollout api --output jsonpath='{.metadata.labels.app\.kubernetes\.io/part-of}') || die "the error budget could not be asked for; the reason is above"
  metrics=$(kubectl create --dry-run=client --filename "$WORK/needs.yaml" --output jsonpath='{.kind}|{.metadata.name}|{.spec.metrics}{"\n"}' |
    sed -n 's/^AnalysisTemplate|error-budget|//p')
  run=$(
    k create --output name --filename - <<A
{ "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": { "generateName": "error-budget-" },
  "spec": {
    "args": [{ "name": "service", "value": "$service" }, { "name": "namespace", "value": "$NAMESPACE" }],
    "metrics": $metrics } }
A
  ) || die "the error budget could not be asked for; the reason is above"
  until [ -n "$phase" ] || [ $tries -gt 60 ]; do
    sleep 1
    phase=$(k get "$run" --output jsonpath='{.status.phase}' | grep -E 'Successful|Failed|Error') || true
    tries=$((tries + 1))
  done
  value() { k get "$run" --output jsonpath="{.status.metricResults[?(@.name==\"$1\")].measurements[-1:].value}" | tr -d '[]'; }
  left=$(value budget-left) && seen=$(value requests-seen) || die "the error budget could not be asked for; the reason is above"
  k delete "$run" >/dev/null
  case $phase in
    Successful)
      seen=${seen%.*}
      if [ "$seen" -lt 1000 ]; then say "warning: $seen requests in 30 days are too few to know the error budget"; else say "error budget left: $left"; fi
      return
      ;;
    Failed) problem="the error budget of 30 days is spent ($left left)" ;;
    *) problem="Prometheus does not tell the error budget, so nobody could judge the release" ;;
  esac
  [ "${FORCE:-}" = 1 ] || die "$problem; FORCE=1 releases all the same, and is recorded"
  say "FORCE=1: $problem"
  echo "forced: $problem"
}

# --- the record of promoted releases --------------------------------------------------------------------------------
# A ConfigMap for each of the last five holds what was applied, so that going back to one needs the cluster alone. One
# that was gone back from is withdrawn.

recorded() { k get configmaps --selector "release=$1" --sort-by=.metadata.name --output jsonpath='{range .items[*]}{.metadata.name} {.data.hash}{"\n"}{end}'; }

# Names on standard input.
forget() { xargs -I{} kubectl --namespace "$NAMESPACE" delete configmap {} >/dev/null; }

record() { # NOTES
  local name older
  name=release-$(date -u +%Y%m%d%H%M%S)
  look
  [ -n "$HASH" ] || return 1
  older=$(recorded promoted | awk -v hash="$HASH" '$2 == hash { print $1 }')
  k create configmap "$name" --from-literal=image="$(image_of rollout/api)" --from-literal=hash="$HASH" \
    --from-literal=notes="$1" --from-literal=overlay="$ENV" --from-file=manifests.yaml="$WORK/release.yaml" >/dev/null &&
    k label configmap "$name" release=promoted >/dev/null && printf %s "$older" | forget || return 1
  for state in promoted withdrawn; do
    recorded $state | awk '{ name[NR] = $1 } END { for (i = 1; i <= NR - 5; i++) print name[i] }' | forget || return 1
  done
  k annotate rollout api rolling-back-to- >/dev/null
}

record_of() { recorded promoted | awk -v hash="$1" '$2 == hash { name = $1 } END { print name }'; } # HASH

# Where something is under way, was refused or aborted: the release that serves. Otherwise: the one before that.
record_before() {
  if is_settled; then
    recorded promoted | awk -v hash="$HASH" '$2 == hash { exit } { name = $1 } END { print name }'
  else record_of "$STABLE"; fi
}

# Where a rollback did not come to its end: to what it was. Doing it again must not go one further.
begun_rollback() {
  local name
  name=$(k get rollout api --output jsonpath='{.metadata.annotations.rolling-back-to}') || return 1
  [ -z "$name" ] || k get configmap "$name" --ignore-not-found --output jsonpath='{.metadata.name}'
}

rollback_to() { # NAME
  local later
  [ -n "$1" ] && unpause && k annotate rollout api --overwrite rolling-back-to="$1" >/dev/null || return 1
  k get configmap "$1" --output jsonpath='{.data.manifests\.yaml}' >"$WORK/rollback.yaml" && k apply --filename "$WORK/rollback.yaml" >/dev/null || return 1
  to_the_end_at_once && worker_is_there || return 1
  for later in $(recorded promoted | awk -v name="$1" '$1 > name { print $1 }'); do k label configmap "$later" --overwrite release=withdrawn >/dev/null || return 1; done
  k annotate rollout api rolling-back-to- >/dev/null
}

worker_is_there() { k rollout status deployment/worker --timeout="$(at_least 300)" >/dev/null; }

# --- what to do next ------------------------------------------------------------------------------------------------

hint_pods() { echo "See: kubectl --namespace $NAMESPACE get pods,events"; }

hint_not_healthy() {
  if is_aborted; then
    echo "a release was rolled back; \`make rollback ENV=$ENV\` makes it Healthy"
  elif is_refused; then
    echo "it was refused ($(message)); \`make abort ENV=$ENV\` restores the release that serves"
  elif is_settled; then
    echo "its pods come and go ($MESSAGE). $(hint_pods)"
  else echo "a release is under way; \`make release-status ENV=$ENV\`, \`make abort ENV=$ENV\`"; fi
}

hint_after() {
  look
  echo "$(serving_image) serves"
  ! is_aborted || echo "the Rollout still names $(image_of rollout/api) and is Degraded; \`make rollback ENV=$ENV\` makes it Healthy"
}

#!/usr/bin/env bash
# Ships releases to the cluster that kubectl points at, and takes them back. Needs kubectl alone.
#
#   k8s/release.sh deploy [IMAGE]    everything at once, unjudged: for the first time
#   k8s/release.sh release IMAGE     the schema, then the service step by step and judged, then the worker
#   k8s/release.sh rollback          the last promoted release again, at once
#   k8s/release.sh abort             stop the release that is under way
#   k8s/release.sh promote REASON    skip what is left of its steps, unjudged
#   k8s/release.sh status            what serves, what is under way, what was promoted
#
# ENV=local        a folder of k8s/overlays: local, staging, production
# DEADLINE=1800    seconds until a release that is not through is taken back
# FORCE=1          release although the error budget is spent or unknown; deploy although something is there
#
# Exit codes of `release`, which also ends with the line `verdict: …`:
#   0 promoted    2 rolled-back (the release is to blame)    3 not-judged    4 deadline
# After all but 0 the old release serves. Others: 0 done, 1 refused or failed (the reason is told), 64 wrong use.
set -euo pipefail
usage() { sed -n '2,18s/^# \{0,1\}//p' "$0"; }
cd "$(dirname "$0")/.."
. dev/lib.sh
. k8s/cluster.sh

deploy() { # [IMAGE]
  if [ -n "$(k get rollout api --ignore-not-found --output name)" ] && [ "${FORCE:-}" != 1 ]; then
    die "$NAMESPACE is deployed already: \`make release ENV=$ENV IMAGE=…\` brings the next release (FORCE=1 puts everything in place at once, unjudged)"
  fi
  local image=${1:-}
  [ -n "$image" ] || image=$(default_image)
  fixed_name "$image"
  render "$image"
  say "what the service needs"
  kubectl apply --filename "$WORK/needs.yaml" >/dev/null
  wait_for_needs
  migrate || die "the service was not deployed"
  say "the service and its worker"
  k apply --filename "$WORK/release.yaml" >/dev/null
  unpause
  { to_the_end_at_once && all_pods_are_there; } || die "the service did not come up in $DEADLINE s: $MESSAGE. $(hint_pods)"
  worker_is_there || die "the worker did not come up. $(hint_pods)"
  record "deployed at once"
  say "$image serves in the namespace $NAMESPACE, after $(elapsed) s"
}

release() { # IMAGE
  local notes failed=0
  wait_until_healthy
  fixed_name "$1"
  render "$1"
  notes=$(budget)
  alone
  kubectl apply --filename "$WORK/needs.yaml" >/dev/null
  migrate || failed=$?
  case $failed in 0) ;; 1) verdict not-judged 3 ;; *) verdict deadline 4 ;; esac
  say "the service, from $(serving_image) to $1, at most $DEADLINE s"
  STEPS=$(steps)
  k apply --filename "$WORK/service.yaml" >/dev/null || { echo "the service could not be applied"; verdict not-judged 3; }
  follow
  say "the worker"
  if ! k apply --filename "$WORK/worker.yaml" >/dev/null || ! worker_is_there; then
    echo "[$(elapsed) s] the worker did not come up, so the service is taken back, too. $(hint_pods)"
    DEADLINE=$(($(elapsed) + 300))
    look
    rollback_to "$(record_before)" || echo "not everything is back: make release-status ENV=$ENV"
    verdict deadline 4
  fi
  record "${notes:-promoted after $(elapsed) s}" || say "warning: the release could not be recorded, so \`make rollback\` does not know it"
  verdict promoted 0
}

# Pods that are just coming up, after a deploy or at the autoscaler's word, are waited for.
wait_until_healthy() {
  local until=$((SECONDS + 120))
  while look; ! is_healthy; do
    if is_aborted || ! is_settled || [ $SECONDS -gt $until ]; then die "the Rollout is $PHASE: $(hint_not_healthy)"; fi
    sleep 1
  done
}

# One release at a time: the second would take the first one's end for its own.
alone() {
  k create configmap release-under-way --from-literal=by="$(id -un)@$(hostname), $(date -u)" >/dev/null ||
    die "another release is under way, by $(k get configmap release-under-way --output jsonpath='{.data.by}'). If nobody runs it any more: kubectl --namespace $NAMESPACE delete configmap release-under-way"
  trap 'k delete configmap release-under-way --ignore-not-found >/dev/null; rm -rf "$WORK" "$OVERLAY"' EXIT
}

# Follows a release to its end, printing what changes; comes back when it is promoted.
follow() {
  local last="" now released="" applied=$SECONDS
  while look; do
    is_settled || ! observed || released=$HASH
    # A release that changes no pod has no other hash; give the controller time to show one.
    if is_healthy && { [ -n "$released" ] || [ $SECONDS -gt $((applied + 10)) ]; }; then
      [ "${released:-$STABLE}" = "$STABLE" ] && break
      echo "[$(elapsed) s] somebody else has taken it back"
      verdict not-judged 3
    fi
    now=$(progress)
    [ "$now" = "$last" ] || ! observed || is_healthy || echo "[$(elapsed) s] $now"
    last=$now
    if is_aborted; then
      local why=$MESSAGE
      echo "[$(elapsed) s] aborted: $why"
      unpause || true
      reasons
      wait_until_old_serves || true
      case $why in
        *'Metric "blamed-'*'assessed Failed'*) verdict rolled-back 2 ;;
        *'has timed out progressing'*) verdict deadline 4 ;;
        *) verdict not-judged 3 ;;
      esac
    fi
    if [ "$(left)" -le 0 ]; then
      echo "[$(elapsed) s] not through after $DEADLINE s, so it is taken back. $(hint_pods)"
      until take_back; do sleep 1; done
      wait_until_old_serves || true
      verdict deadline 4
    fi
    sleep 1
  done
  echo "[$(elapsed) s] all ${AVAILABLE:-0} pods are of the new release"
}

verdict() { # WORD CODE
  hint_after
  echo "verdict: $1"
  exit "$2"
}

rollback() {
  local target
  look
  target=$(record_before)
  if [ -z "$target" ]; then
    is_settled || die "what serves was never recorded; this puts it in place: FORCE=1 make deploy ENV=$ENV IMAGE=$(serving_image)"
    die "there is no promoted release before the one that serves; \`make release-status ENV=$ENV\` lists them"
  fi
  rollback_to "$target" || die "$target did not come back in $DEADLINE s; run this again. $(hint_pods)"
  say "$(image_of rollout/api) serves again, of $target, after $(elapsed) s"
}

abort() {
  look
  ! is_settled || die "no release is under way"
  STEPS=$(steps)
  take_back
  wait_until_old_serves || exit 1
  hint_after
}

promote() { # REASON
  look
  ! is_settled || die "no release is under way"
  ! is_aborted || die "the release was taken back; \`make rollback ENV=$ENV\`, then release it again"
  say "skipping what is left of the steps, unjudged: $1"
  k annotate rollout api --overwrite "promoted-by-hand=$1" >/dev/null
  unpause
  to_the_end_at_once || die "not through in $DEADLINE s: $MESSAGE. $(hint_pods)"
  say "$(image_of rollout/api) serves. Whoever runs \`release\` goes on with the worker and the record"
}

status() {
  look
  STEPS=$(steps)
  echo "cluster $(kubectl config current-context), namespace $NAMESPACE"
  echo "$(progress)${MESSAGE:+ ($MESSAGE)}"
  echo "serves  $(serving_image)"
  is_healthy || echo "wants   $(image_of rollout/api)"
  echo "worker  $(image_of deployment/worker)"
  is_healthy || reasons
  echo "promoted, newest last:"
  k get configmaps --selector release --sort-by=.metadata.name --no-headers \
    --output custom-columns='NAME:.metadata.name,STATE:.metadata.labels.release,IMAGE:.data.image,NOTES:.data.notes'
}

case "${1:-} $#" in
  "deploy 1" | "deploy 2" | "release 2" | "promote 2" | "rollback 1" | "abort 1" | "status 1") ;;
  "--help 1" | "-h 1") usage; exit ;;
  *) usage >&2; exit 64 ;;
esac
begin "$1"
"$@"

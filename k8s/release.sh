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
# DEADLINE=1800    seconds until a release that is not promoted is rolled back
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
  if is_deployed && [ "${FORCE:-}" != 1 ]; then
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
  { to_the_end_at_once && all_pods_are_there; } || die "the service did not come up in $DEADLINE s: $(message). $(hint_pods)"
  worker_is_there || die "the worker did not come up. $(hint_pods)"
  record "deployed at once" || die "it serves, but could not be recorded, so \`make rollback\` will not know it; run this again with FORCE=1"
  say "$image serves in the namespace $NAMESPACE, after $(elapsed) s"
}

release() { # IMAGE
  local notes before by_hand failed=0
  wait_until_healthy
  before=$(record_of "$STABLE")
  fixed_name "$1"
  render "$1"
  notes=$(budget)
  alone
  kubectl apply --filename "$WORK/needs.yaml" >/dev/null
  migrate || failed=$?
  case $failed in 0) ;; 1) verdict not-judged 3 ;; *) verdict deadline 4 ;; esac
  say "the service, from $(serving_image) to $1, at most $DEADLINE s"
  STEPS=$(steps)
  k annotate rollout api promoted-by-hand- rolling-back-to- >/dev/null
  if ! k apply --filename "$WORK/service.yaml" >/dev/null; then
    echo "not everything could be applied; the reason is above"
    take_back_if_begun
    verdict not-judged 3
  fi
  follow
  say "the worker"
  if ! k apply --filename "$WORK/worker.yaml" >/dev/null || ! worker_is_there; then
    echo "[$(elapsed) s] the worker did not start, so the service is rolled back, too. $(hint_pods)"
    DEADLINE=$(($(elapsed) + 300))
    rollback_to "$before" || {
      hint_after
      die "the rollback is incomplete; once its obstacle is removed, run: make rollback ENV=$ENV"
    }
    verdict deadline 4
  fi
  by_hand=$(k get rollout api --output jsonpath='{.metadata.annotations.promoted-by-hand}') || true
  record "${notes:-promoted after $(elapsed) s}${by_hand:+; by hand: $by_hand}" || say "warning: the release could not be recorded, so \`make rollback\` does not know it"
  verdict promoted 0
}

# Pods that are just coming up, after a deploy or at the autoscaler's word, are waited for.
wait_until_healthy() {
  local until=$((SECONDS + 120))
  while
    look_well
    ! is_healthy
  do
    if is_aborted || ! is_settled || [ $SECONDS -gt $until ]; then die "the Rollout is $PHASE: $(hint_not_healthy)"; fi
    sleep 1
  done
}

# One release at a time: the second would take the first one's end for its own.
alone() {
  local by
  if ! k create configmap release-under-way --from-literal=by="$(id -un)@$(hostname), $(date -u)" >/dev/null; then
    by=$(under_way_by)
    [ -n "$by" ] || die "the release could not be announced to others; the reason is above"
    die "another release is under way, by $by. If nobody runs it any more: kubectl --namespace $NAMESPACE delete configmap release-under-way"
  fi
  # Whatever becomes of this, the exit code is the release's.
  trap 'k delete configmap release-under-way --ignore-not-found >/dev/null || say "warning: the ConfigMap release-under-way is left in $NAMESPACE"; rm -rf "$WORK" "$OVERLAY"' EXIT
}

# Follows a release to its end, printing what changes; comes back when it is promoted.
follow() {
  local last="" now released="" applied=$SECONDS refused=""
  while look; do
    ! observed || [ "$HASH" = "$STABLE" ] || released=${released:-$HASH}
    # A release that changes no pod has no other hash; give the controller time to show one.
    if is_healthy && { [ -n "$released" ] || [ $SECONDS -gt $((applied + 10)) ]; }; then
      [ "${released:-$STABLE}" = "$STABLE" ] && break
      echo "[$(elapsed) s] somebody else has taken it back, or put another one in its place"
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
    # What refuses may pass: an admission webhook that restarts. Then there is no other hash yet, again.
    if is_refused; then refused=${refused:-$SECONDS} applied=$SECONDS; else refused=""; fi
    if [ -n "$refused" ] && [ $SECONDS -gt $((refused + 30)) ]; then
      echo "[$(elapsed) s] refused: $(message)"
      take_back_if_begun
      verdict not-judged 3
    fi
    if [ "$(left)" -le 0 ]; then
      if is_promoted; then break; fi
      echo "[$(elapsed) s] not promoted after $DEADLINE s, so it is rolled back. $(hint_pods)"
      take_back_if_begun
      if is_promoted; then break; fi
      verdict deadline 4
    fi
    sleep 1
  done
  if [ -z "$released" ]; then
    echo "[$(elapsed) s] no pod had to change: this is the release that served before"
  elif is_healthy; then
    echo "[$(elapsed) s] all ${AVAILABLE:-0} pods are of the new release"
  else echo "[$(elapsed) s] it is promoted, but not all of its pods are well: $(progress). $(hint_pods)"; fi
}

is_promoted() { [ -n "$released" ] && [ "$released" = "$STABLE" ]; }

# Whatever has begun, or would as soon as it is not refused any more, must not go on without somebody who follows it.
take_back_if_begun() {
  local until=$((SECONDS + 180))
  until
    look
    observed && { [ "$HASH" = "$STABLE" ] || take_back; }
  do
    [ $SECONDS -lt $until ] || die "it could not be rolled back, and continues in the cluster: make release-status ENV=$ENV, make abort ENV=$ENV"
    sleep 1
  done
  if is_refused; then
    DEADLINE=$(($(elapsed) + 300))
    rollback_to "$(record_of "$STABLE")" || die "it was refused, but the Rollout still names it: make rollback ENV=$ENV"
  elif [ "$HASH" != "$STABLE" ]; then
    wait_until_old_serves || true
  fi
}

verdict() { # WORD CODE
  hint_after
  echo "verdict: $1"
  exit "$2"
}

rollback() {
  local target why
  look_well
  target=$(begun_rollback)
  [ -n "$target" ] || target=$(record_before)
  if [ -z "$target" ]; then
    is_settled || die "what serves was never recorded; this puts it in place: FORCE=1 make deploy ENV=$ENV IMAGE=$(serving_image)"
    die "there is no promoted release before the one that serves; \`make release-status ENV=$ENV\` lists them"
  fi
  if ! rollback_to "$target"; then
    hint_after
    why=$(message)
    die "$target did not come back whole${why:+: $why}. Run this again. $(hint_pods)"
  fi
  say "$(image_of rollout/api) serves again, of $target, after $(elapsed) s"
}

something_is_under_way() {
  local by
  is_settled || return 0
  by=$(under_way_by)
  die "no release is under way${by:+ in the service. At its schema or its worker there is one, or was: by $by}"
}

abort() {
  look_well
  something_is_under_way
  STEPS=$(steps)
  k annotate rollout api rolling-back-to- >/dev/null
  if is_refused; then
    rollback_to "$(record_of "$STABLE")" || {
      hint_after
      die "the Rollout still names what was refused: $(message)"
    }
  else
    take_back
    wait_until_old_serves || exit 1
  fi
  hint_after
}

promote() { # REASON
  look_well
  something_is_under_way
  ! is_refused || die "it was refused before it began ($(message)); \`make abort ENV=$ENV\` restores the release that serves"
  ! is_aborted || die "the release was rolled back; \`make rollback ENV=$ENV\`, then release it again"
  say "skipping what is left of the steps, unjudged: $1"
  k annotate rollout api --overwrite "promoted-by-hand=$1" >/dev/null
  unpause
  until
    look
    is_healthy
  do
    ! is_aborted || die "it was rolled back meanwhile: $MESSAGE"
    [ "$(left)" -gt 0 ] || die "not through in $DEADLINE s: $(message). $(hint_pods)"
    ! observed || [ "$HASH" = "$STABLE" ] || patch_status '{"promoteFull":true}' || true
    sleep 1
  done
  say "$(image_of rollout/api) serves. Whoever runs \`release\` goes on with the worker and the record"
}

status() {
  local why
  look
  STEPS=$(steps)
  why=$(message)
  echo "$(progress)${why:+ ($why)}"
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
  "--help 1" | "-h 1")
    usage
    exit
    ;;
  *)
    usage >&2
    exit 64
    ;;
esac
begin "$1"
"$@"

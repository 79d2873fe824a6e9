//! All scenarios: what is released, what goes wrong, and what must hold.

#![expect(
    clippy::disallowed_methods,
    reason = "a tool has no shutdown to wait in, and calls what it started"
)]

use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use testkit::{Criticality, Flow};

use super::{
    Failure,
    cluster::QUOTA,
    environment_faults::{no_traffic, postgres_unavailable, prometheus_unavailable},
    load::Outcome,
    network::network,
    release::Release,
    restart::rolling_restart,
    scenario_run::{DEADLINE, ScenarioRun},
};

type Play = for<'a> fn(&'a mut ScenarioRun<'_>) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>;

/// A drill of a release.
pub(super) struct Scenario {
    /// The name that `SCENARIO=` takes.
    pub name: &'static str,
    /// What must hold, as text for the reader; `play` checks it.
    pub expected: &'static str,
    /// Runs the scenario with all its checks.
    pub play: Play,
}

macro_rules! scenarios {
    ($($name:literal: $expected:literal = $play:ident,)+) => {
        /// All scenarios.
        pub(super) const SCENARIOS: &[Scenario] = &[$( Scenario {
            name: $name,
            expected: $expected,
            play: |run| Box::pin($play(run)),
        } ),+];
    };
}

scenarios! {
    "good": "every step in order, promoted, 0 failed" = good,
    "all-5xx": "rolled back at the first step, at most 30 s after the first bad response; at most 1 % of 5 minutes failed" = all_5xx,
    "route-8-percent": "8 % of one route fail: rolled back" = route_8_percent,
    "small-route-dead": "a route with 1 in 40 requests is dead: rolled back" = small_route_dead,
    "route-half-percent": "0.5 % of one route fail: promoted" = route_half_percent,
    "slow": "+ 400 ms: rolled back at most 60 s after the first slow response" = slow,
    "never-ready": "deadline, 0 failed; the next good release is promoted" = never_ready,
    "image-missing": "deadline, 0 failed; the next good release is promoted" = image_missing,
    "crash-loop": "deadline, 0 failed; the next good release is promoted" = crash_loop,
    "pods-refused": "its ReplicaSet cannot be created: not judged, 0 failed; the next good release is promoted" = pods_refused,
    "no-traffic": "not judged; traffic that starts in time: promoted" = no_traffic,
    "postgres-unavailable": "not blamed, pods stay ready, typed 503; Postgres restored: promoted" = postgres_unavailable,
    "prometheus-unavailable": "2 minutes without Prometheus: not judged, 0 failed" = prometheus_unavailable,
    "good-bad-good": "after rollbacks the bad image never runs again" = good_bad_good,
    "late-fault": "a fault that starts at 60 %: rolled back" = late_fault,
    "rolling-restart": "keep-alive clients: 0 failed; the traces of the last requests are in Jaeger" = rolling_restart,
    "network": "what docs/ROLLOUTS.md allows is open, everything else is closed; a good release is promoted, 0 failed" = network,
}

/// The scenario that runs only by name: not every cluster enforces NetworkPolicies.
pub(super) const ON_DEMAND: &str = "network";

/// Flows in which one request in 40 is a quote.
fn few_quotes() -> Vec<Flow> {
    let flow = |steps: &[&str], weight| Flow {
        name: steps.join(", "),
        steps: steps.iter().map(|step| (*step).to_owned()).collect(),
        weight,
        criticality: Criticality::Normal,
    };
    vec![
        flow(&["create_quote"], 1),
        flow(&["create_order", "get_order", "list_orders"], 13),
    ]
}

/// The deadline of a release whose pods cannot start.
const SHORT_DEADLINE: Duration = Duration::from_mins(1);

async fn good(run: &mut ScenarioRun<'_>) -> Result<(), Failure> {
    let good = run.good.clone();
    let release = run.release(&good, DEADLINE, 0).await?;
    // The pauses are longer than the polling interval, so every one of them is seen.
    let pauses = [1, 4, 7].map(|step| release.printed_at(&format!(": {step} of 9 steps done")));
    let in_order = pauses.iter().all(Option::is_some) && pauses.is_sorted();
    run.check(in_order, || {
        format!("steps were seen out of order, or not at all: {pauses:?}")
    });
    run.at_most_failed(0);
    run.serves(&good)
}

/// How a release was rolled back.
struct Rollback {
    /// Time from the first bad response to the abort.
    after: Duration,
    at_first_step: bool,
}

/// Checks that the release was aborted, and returns how long after its first bad response.
fn aborted_after(
    run: &mut ScenarioRun<'_>,
    release: &Release,
    bad: impl Fn(&Outcome) -> bool,
) -> Option<Duration> {
    let sent = run.since(release.began);
    let first = sent.iter().find(|outcome| bad(outcome));
    let took = first
        .zip(release.printed_at("aborted: "))
        .map(|(first, aborted)| aborted - first.sent);
    match took {
        Some(took) => run.note(format!(
            "aborted {} s after the first bad response",
            took.as_secs()
        )),
        None => run.check(false, || "no bad response, or no abort, was seen".to_owned()),
    }
    took
}

/// Releases an image with an injected fault, which must be detected and rolled back.
async fn rolled_back(
    run: &mut ScenarioRun<'_>,
    fault: &str,
    bad: impl Fn(&Outcome) -> bool,
) -> Result<Option<Rollback>, Failure> {
    let image = run.cluster.faulty_image(fault)?;
    let release = run.release(&image, DEADLINE, 2).await?;
    let took = aborted_after(run, &release, bad);
    let stable = run.stable.clone();
    run.serves(&stable)?;
    Ok(took.map(|after| Rollback {
        after,
        at_first_step: release.printed_at(": 3 of 9 steps done").is_none(),
    }))
}

/// Whether a request failed.
pub(super) fn failed(outcome: &Outcome) -> bool {
    !outcome.is_ok()
}

async fn all_5xx(run: &mut ScenarioRun<'_>) -> Result<(), Failure> {
    let began = Instant::now();
    let rollback = rolled_back(run, r#"{"kind":"panic"}"#, failed).await?;
    let quick = |rollback: &Rollback| rollback.after <= Duration::from_secs(30) && rollback.at_first_step;
    run.check(rollback.is_some_and(|rollback| quick(&rollback)), || {
        "not rolled back at the first step, or not aborted within 30 s".to_owned()
    });
    let minutes = Duration::from_mins(5);
    tokio::time::sleep(minutes.saturating_sub(began.elapsed())).await;
    let all = run.since(began);
    let share = all.iter().filter(|outcome| failed(outcome)).count() as f64 / all.len() as f64;
    run.note(format!("{:.2} % of 5 minutes failed", share * 100.0));
    run.check(share <= 0.01, || format!("{share} of all requests failed"));
    Ok(())
}

async fn route_8_percent(run: &mut ScenarioRun<'_>) -> Result<(), Failure> {
    rolled_back(
        run,
        r#"{"kind":"panic","route":"/v1/orders","share":0.08}"#,
        failed,
    )
    .await
    .map(drop)
}

async fn small_route_dead(run: &mut ScenarioRun<'_>) -> Result<(), Failure> {
    let caller = run.caller().await?.without_keep_alive()?.running(few_quotes());
    run.load_of(vec![caller])?;
    tokio::time::sleep(Duration::from_secs(20)).await;
    rolled_back(run, r#"{"kind":"panic","route":"/v1/quotes"}"#, failed)
        .await
        .map(drop)
}

async fn route_half_percent(run: &mut ScenarioRun<'_>) -> Result<(), Failure> {
    let image = run
        .cluster
        .faulty_image(r#"{"kind":"panic","route":"/v1/orders/{id}","share":0.005}"#)?;
    run.release(&image, DEADLINE, 0).await?;
    let failed = run.outcomes().iter().filter(|outcome| failed(outcome)).count();
    run.check(failed > 0, || {
        "no request failed, so the scenario proves nothing".to_owned()
    });
    run.serves(&image)
}

async fn slow(run: &mut ScenarioRun<'_>) -> Result<(), Failure> {
    let slow = |outcome: &Outcome| outcome.took >= Duration::from_millis(400);
    let rollback = rolled_back(run, r#"{"kind":"latency","ms":400}"#, slow).await?;
    let quick = rollback.is_some_and(|rollback| rollback.after <= Duration::from_mins(1));
    run.check(quick, || "not aborted within 60 s".to_owned());
    run.at_most_failed(0);
    Ok(())
}

/// Releases an image that cannot start: it must end at its deadline without a failed request, and the next good release
/// must be promoted.
async fn ends_at_deadline(run: &mut ScenarioRun<'_>, image: &str, reaches_pods: bool) -> Result<(), Failure> {
    run.release(image, SHORT_DEADLINE, 4).await?;
    let (stable, good) = (run.stable.clone(), run.good.clone());
    run.serves(&stable)?;
    let aborted = run.cluster.get("rollout/api", "{.status.abort}")? == "true";
    run.check(aborted == reaches_pods, || {
        "the release ended in the wrong phase".to_owned()
    });
    if aborted {
        run.rollback(&stable)?;
    }
    run.release(&good, DEADLINE, 0).await?;
    run.at_most_failed(0);
    run.serves(&good)
}

async fn never_ready(run: &mut ScenarioRun<'_>) -> Result<(), Failure> {
    let image = run.cluster.faulty_image(r#"{"kind":"not-ready"}"#)?;
    ends_at_deadline(run, &image, true).await
}

async fn image_missing(run: &mut ScenarioRun<'_>) -> Result<(), Failure> {
    let image = run.cluster.missing_image();
    ends_at_deadline(run, &image, false).await
}

async fn pods_refused(run: &mut ScenarioRun<'_>) -> Result<(), Failure> {
    let (stable, good) = (run.stable.clone(), run.good.clone());
    let quota = ["create", "quota", QUOTA, "--hard=count/replicasets.apps=0"];
    run.cluster.kubectl(&quota)?;
    let refused = run.release(&good, DEADLINE, 3).await;
    run.cluster.kubectl(&["delete", "quota", QUOTA])?;
    refused?;
    run.serves(&stable)?;
    run.release(&good, DEADLINE, 0).await?;
    run.at_most_failed(0);
    run.serves(&good)
}

async fn crash_loop(run: &mut ScenarioRun<'_>) -> Result<(), Failure> {
    let image = run.cluster.faulty_image(r#"{"kind":"crash"}"#)?;
    ends_at_deadline(run, &image, true).await
}

async fn good_bad_good(run: &mut ScenarioRun<'_>) -> Result<(), Failure> {
    let (stable, good) = (run.stable.clone(), run.good.clone());
    let bad = run.cluster.faulty_image(r#"{"kind":"panic"}"#)?;
    run.release(&bad, DEADLINE, 2).await?;
    run.rollback(&stable)?;
    // The bad release has spent the error budget.
    run.forced = true;
    let since = Instant::now();
    run.release(&good, DEADLINE, 0).await?;
    run.rollback(&stable)?;
    let later = run.since(since).iter().filter(|outcome| failed(outcome)).count();
    run.check(later == 0, || {
        format!("{later} requests failed after the bad release")
    });
    let pods = run.cluster.pods()?;
    run.check(pods.iter().all(|pod| pod.image != bad), || {
        "a pod runs the bad image".to_owned()
    });
    run.note("the rollback restored the first image");
    Ok(())
}

async fn late_fault(run: &mut ScenarioRun<'_>) -> Result<(), Failure> {
    let good = run.good.clone();
    let mut release = Release::begin(&good, DEADLINE, false)?;
    release.steps_done(7).await?;
    let client = reqwest::Client::new();
    let mut canary = run.cluster.pods()?;
    canary.retain(|pod| pod.role == "api" && pod.image == good);
    for pod in canary {
        let forward = run.cluster.forward(&format!("pod/{}", pod.name), 8081)?;
        let fault = client
            .put(format!("{}/faults", forward.url))
            .header("content-type", "application/json")
            .body(r#"{"kind":"panic"}"#);
        fault.send().await?.error_for_status()?;
    }
    run.ends_with(&mut release, 2).await?;
    aborted_after(run, &release, failed);
    let mut bad = run.since(release.began);
    bad.retain(failed);
    if let (Some(first), Some(last)) = (bad.first(), bad.last()) {
        run.note(format!(
            "last failure {} s later",
            (last.sent - first.sent).as_secs()
        ));
    }
    let stable = run.stable.clone();
    run.serves(&stable)
}

//! Every scenario: what is released, what goes wrong, what must hold.

use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use super::{
    Failure,
    cluster::QUOTA,
    load::{Call, Outcome},
    network::network,
    release::Release,
    restart::rolling_restart,
    stage::{DEADLINE, Stage},
    surroundings::{no_traffic, postgres_away, prometheus_away},
};

type Play = for<'a> fn(&'a mut Stage<'_>) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>;

/// A scenario.
pub struct Scenario {
    /// As `SCENARIO=` takes it.
    pub name: &'static str,
    /// What must hold, for the reader; the scenario checks it.
    pub expected: &'static str,
    /// Plays it.
    pub play: Play,
}

macro_rules! scenarios {
    ($($name:literal: $expected:literal = $play:ident,)+) => {
        /// Every scenario there is.
        pub const SCENARIOS: &[Scenario] = &[$( Scenario {
            name: $name,
            expected: $expected,
            play: |stage| Box::pin($play(stage)),
        } ),+];
    };
}

scenarios! {
    "good": "every step in order, promoted, 0 failed" = good,
    "all-5xx": "taken back at the first step, at most 30 s after the first bad answer; at most 1 % of 5 minutes failed" = all_5xx,
    "route-8-percent": "8 % of one route fail: taken back" = route_8_percent,
    "small-route-dead": "a route with 1 in 40 requests is dead: taken back" = small_route_dead,
    "route-half-percent": "0.5 % of one route fail: promoted" = route_half_percent,
    "slow": "+ 400 ms: taken back at most 60 s after the first slow answer" = slow,
    "never-ready": "deadline, 0 failed; the next good release is promoted" = never_ready,
    "image-missing": "deadline, 0 failed; the next good release is promoted" = image_missing,
    "crash-loop": "deadline, 0 failed; the next good release is promoted" = crash_loop,
    "pods-refused": "its ReplicaSet may not be made: not judged, 0 failed; the next good release is promoted" = pods_refused,
    "no-traffic": "not judged; traffic that starts in time: promoted" = no_traffic,
    "postgres-away": "not blamed, pods stay ready, typed 503; Postgres back: promoted" = postgres_away,
    "prometheus-away": "2 minutes without Prometheus: not judged, 0 failed" = prometheus_away,
    "good-bad-good": "after rollbacks the bad image never runs again" = good_bad_good,
    "late-fault": "a fault that starts at 60 %: taken back" = late_fault,
    "rolling-restart": "keep-alive clients: 0 failed; the traces of the last requests are in Jaeger" = rolling_restart,
    "network": "what docs/ROLLOUTS.md allows is open, all else is shut; a good release is promoted, 0 failed" = network,
}

/// Played only when it is named: not every cluster enforces NetworkPolicies.
pub const ON_DEMAND: &str = "network";

/// Quotes are one request in 40.
const FEW_QUOTES: &[Call] = &{
    let mut calls = [Call::List; 40];
    calls[0] = Call::Quote;
    let mut other = 1;
    while other < 40 {
        calls[other] = [Call::Order, Call::List, Call::Read][other % 3];
        other += 1;
    }
    calls
};
/// A release that cannot come up is given so long.
const SHORT: Duration = Duration::from_secs(60);

async fn good(stage: &mut Stage<'_>) -> Result<(), Failure> {
    let good = stage.good.clone();
    let release = stage.release(&good, DEADLINE, 0).await?;
    // The pauses are longer than the time between two looks.
    let pauses = [1, 4, 7].map(|step| release.said(&format!(": {step} of 9 steps done")));
    let in_order = pauses.iter().all(Option::is_some) && pauses.is_sorted();
    stage.check(in_order, || {
        format!("steps were seen out of order, or not at all: {pauses:?}")
    });
    stage.at_most_failed(0);
    stage.serves(&good)
}

/// How a release was taken back.
struct TakenBack {
    /// The first bad answer.
    after: Duration,
    at_the_first_step: bool,
}

/// The release was aborted; gives how long after the first of its bad answers.
fn aborted(stage: &mut Stage<'_>, release: &Release, bad: impl Fn(&Outcome) -> bool) -> Option<Duration> {
    let sent = stage.since(release.began);
    let first = sent.iter().find(|outcome| bad(outcome));
    let took = first
        .zip(release.said("aborted: "))
        .map(|(first, aborted)| aborted - first.sent);
    match took {
        Some(took) => stage.note(format!("aborted {} s after the first bad answer", took.as_secs())),
        None => stage.check(false, || "no bad answer, or no abort, was seen".to_owned()),
    }
    took
}

/// The fault is noticed, and the release taken back.
async fn taken_back(
    stage: &mut Stage<'_>,
    fault: &str,
    bad: impl Fn(&Outcome) -> bool,
) -> Result<Option<TakenBack>, Failure> {
    let image = stage.cluster.sick_image(fault)?;
    let release = stage.release(&image, DEADLINE, 2).await?;
    let took = aborted(stage, &release, bad);
    let stable = stage.stable.clone();
    stage.serves(&stable)?;
    Ok(took.map(|took| TakenBack {
        after: took,
        at_the_first_step: release.said(": 3 of 9 steps done").is_none(),
    }))
}

/// Whether a request did not go well.
pub fn failed(outcome: &Outcome) -> bool {
    !outcome.is_ok()
}

async fn all_5xx(stage: &mut Stage<'_>) -> Result<(), Failure> {
    let began = Instant::now();
    let taken_back = taken_back(stage, r#"{"kind":"panic"}"#, failed).await?;
    let quickly = |taken: &TakenBack| taken.after <= Duration::from_secs(30) && taken.at_the_first_step;
    stage.check(taken_back.is_some_and(|taken| quickly(&taken)), || {
        "not at the first step, or after more than 30 s".to_owned()
    });
    let minutes = Duration::from_secs(300);
    tokio::time::sleep(minutes.saturating_sub(began.elapsed())).await;
    let all = stage.since(began);
    let share = all.iter().filter(|outcome| failed(outcome)).count() as f64 / all.len() as f64;
    stage.note(format!("{:.2} % of 5 minutes failed", share * 100.0));
    stage.check(share <= 0.01, || format!("{share} of all requests failed"));
    Ok(())
}

async fn route_8_percent(stage: &mut Stage<'_>) -> Result<(), Failure> {
    taken_back(
        stage,
        r#"{"kind":"panic","route":"/v1/orders","share":0.08}"#,
        failed,
    )
    .await
    .map(drop)
}

async fn small_route_dead(stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.load(FEW_QUOTES).await?;
    tokio::time::sleep(Duration::from_secs(20)).await;
    taken_back(stage, r#"{"kind":"panic","route":"/v1/quotes"}"#, failed)
        .await
        .map(drop)
}

async fn route_half_percent(stage: &mut Stage<'_>) -> Result<(), Failure> {
    let image = stage
        .cluster
        .sick_image(r#"{"kind":"panic","route":"/v1/orders/{id}","share":0.005}"#)?;
    stage.release(&image, DEADLINE, 0).await?;
    let failed = stage.outcomes().iter().filter(|outcome| failed(outcome)).count();
    stage.check(failed > 0, || {
        "no request failed, so nothing was tried".to_owned()
    });
    stage.serves(&image)
}

async fn slow(stage: &mut Stage<'_>) -> Result<(), Failure> {
    let late = |outcome: &Outcome| outcome.took >= Duration::from_millis(400);
    let taken_back = taken_back(stage, r#"{"kind":"latency","ms":400}"#, late).await?;
    let quickly = taken_back.is_some_and(|taken| taken.after <= Duration::from_secs(60));
    stage.check(quickly, || "not aborted within 60 s".to_owned());
    stage.at_most_failed(0);
    Ok(())
}

/// What cannot come up is given up at the deadline, unnoticed; then a good release goes through.
async fn given_up(stage: &mut Stage<'_>, image: &str, reaches_pods: bool) -> Result<(), Failure> {
    stage.release(image, SHORT, 4).await?;
    let (stable, good) = (stage.stable.clone(), stage.good.clone());
    stage.serves(&stable)?;
    let aborted = stage.cluster.get("rollout/api", "{.status.abort}")? == "true";
    stage.check(aborted == reaches_pods, || {
        "the wrong part of the release was given up".to_owned()
    });
    if aborted {
        stage.rollback(&stable)?;
    }
    stage.release(&good, DEADLINE, 0).await?;
    stage.at_most_failed(0);
    stage.serves(&good)
}

async fn never_ready(stage: &mut Stage<'_>) -> Result<(), Failure> {
    let image = stage.cluster.sick_image(r#"{"kind":"not-ready"}"#)?;
    given_up(stage, &image, true).await
}

async fn image_missing(stage: &mut Stage<'_>) -> Result<(), Failure> {
    let image = stage.cluster.missing_image();
    given_up(stage, &image, false).await
}

async fn pods_refused(stage: &mut Stage<'_>) -> Result<(), Failure> {
    let (stable, good) = (stage.stable.clone(), stage.good.clone());
    let quota = ["create", "quota", QUOTA, "--hard=count/replicasets.apps=0"];
    stage.cluster.kubectl(&quota)?;
    let refused = stage.release(&good, DEADLINE, 3).await;
    stage.cluster.kubectl(&["delete", "quota", QUOTA])?;
    refused?;
    stage.serves(&stable)?;
    stage.release(&good, DEADLINE, 0).await?;
    stage.at_most_failed(0);
    stage.serves(&good)
}

async fn crash_loop(stage: &mut Stage<'_>) -> Result<(), Failure> {
    let image = stage.cluster.sick_image(r#"{"kind":"crash"}"#)?;
    given_up(stage, &image, true).await
}

async fn good_bad_good(stage: &mut Stage<'_>) -> Result<(), Failure> {
    let (stable, good) = (stage.stable.clone(), stage.good.clone());
    let bad = stage.cluster.sick_image(r#"{"kind":"panic"}"#)?;
    stage.release(&bad, DEADLINE, 2).await?;
    stage.rollback(&stable)?;
    // The bad one has spent the error budget.
    stage.forced = true;
    let since = Instant::now();
    stage.release(&good, DEADLINE, 0).await?;
    stage.rollback(&stable)?;
    let later = stage
        .since(since)
        .iter()
        .filter(|outcome| failed(outcome))
        .count();
    stage.check(later == 0, || {
        format!("{later} requests failed after the bad release")
    });
    let pods = stage.cluster.pods()?;
    stage.check(pods.iter().all(|pod| pod.image != bad), || {
        "the bad image runs".to_owned()
    });
    stage.note("the rollback brought the first image");
    Ok(())
}

async fn late_fault(stage: &mut Stage<'_>) -> Result<(), Failure> {
    let good = stage.good.clone();
    let mut release = Release::begin(&good, DEADLINE, false)?;
    release.steps_done(7).await?;
    let client = reqwest::Client::new();
    let mut canary = stage.cluster.pods()?;
    canary.retain(|pod| pod.role == "api" && pod.image == good);
    for pod in canary {
        let forward = stage.cluster.forward(&format!("pod/{}", pod.name), 8081)?;
        let fault = client
            .put(format!("{}/faults", forward.url))
            .header("content-type", "application/json")
            .body(r#"{"kind":"panic"}"#);
        fault.send().await?.error_for_status()?;
    }
    stage.ends_with(&mut release, 2).await?;
    aborted(stage, &release, failed);
    let mut bad = stage.since(release.began);
    bad.retain(failed);
    if let (Some(first), Some(last)) = (bad.first(), bad.last()) {
        stage.note(format!(
            "the last one {} s after it",
            (last.sent - first.sent).as_secs()
        ));
    }
    let stable = stage.stable.clone();
    stage.serves(&stable)
}

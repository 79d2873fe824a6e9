//! `make bench-jobs`: the throughput and the latency of jobs, and the connections of a worker.

#![expect(
    clippy::disallowed_methods,
    reason = "a tool has no shutdown to wait in, and calls what it started"
)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use reqwest::{Client, RequestBuilder};
use serde_json::json;
use testkit::{Server, TestDatabase};

use super::median;
use crate::{Failure, environment::Environment};

const SINGLE: usize = 20;
const IN_FLIGHT: usize = 32;

/// The arguments of `tools bench-jobs`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Path of the service's binary, built with `--release`.
    binary: PathBuf,
    /// Path of the binary of another release, to compare with.
    #[arg(long, env = "BASELINE")]
    baseline: Option<PathBuf>,
    /// Rounds, each with fresh processes and databases, in turn.
    #[arg(long, env = "ROUNDS", default_value_t = 5)]
    rounds: usize,
    /// Jobs in the backlog of a round.
    #[arg(long, default_value_t = 5_000)]
    backlog: usize,
}

/// The figures of one round.
struct Round {
    jobs_per_second: f64,
    latency_ms: f64,
    connections: BTreeMap<String, i64>,
}

pub(crate) async fn run(args: &Args) -> Result<(), Failure> {
    let (mut own, mut ratios, mut connections) = (Vec::new(), Vec::new(), BTreeMap::new());
    for round in 1..=args.rounds {
        let ours = measure(&args.binary, args.backlog).await?;
        println!(
            "round {round}: {:.0} jobs/s from a backlog, {:.0} ms from enqueued to finished at rest",
            ours.jobs_per_second, ours.latency_ms
        );
        if let Some(baseline) = &args.baseline {
            let other = measure(baseline, args.backlog).await?;
            println!(
                "         {:.0} jobs/s, {:.0} ms: the baseline",
                other.jobs_per_second, other.latency_ms
            );
            ratios.push(ours.jobs_per_second / other.jobs_per_second);
        }
        connections = ours.connections;
        own.push((ours.jobs_per_second, ours.latency_ms));
    }
    println!();
    let rates = own.iter().map(|(rate, _)| *rate).collect();
    let latencies = own.iter().map(|(_, latency)| *latency).collect();
    println!(
        "jobs from a backlog          {:>5.0} /s   (one worker, 8 in parallel; median of {})",
        median(rates),
        args.rounds
    );
    println!(
        "job, enqueued to finished    {:>5.0} ms   (idle worker; median of {})",
        median(latencies),
        args.rounds
    );
    if !ratios.is_empty() {
        println!(
            "jobs, relative to baseline   {:>5.2}      (median of {} pairs)",
            median(ratios),
            args.rounds
        );
    }
    // The name of the service comes first.
    let pool = |name: &str| name.rsplit(' ').next().unwrap_or_default().to_owned();
    let names = connections
        .iter()
        .map(|(name, count)| format!("{} {count}", pool(name)));
    println!(
        "connections of the worker    {:>5}      ({})",
        connections.values().sum::<i64>(),
        names.collect::<Vec<_>>().join(", ")
    );
    Ok(())
}

/// Measures one release with a backlog and without.
async fn measure(binary: &Path, backlog: usize) -> Result<Round, Failure> {
    let environment = Environment::new(binary).await;
    let api = environment.serve().await?;
    let database = &environment.processes().database;
    let token = environment.processes().token("bench");
    let client = Client::new();
    let enqueue = |_| report(&client, &api, &token).send();
    let enqueued = stream::iter(0..backlog).map(enqueue).buffer_unordered(IN_FLIGHT);
    let refused = enqueued.filter(|sent| {
        let accepted = sent.as_ref().is_ok_and(|response| response.status() == 202);
        std::future::ready(!accepted)
    });
    let refused = refused.count().await;
    if refused > 0 {
        return Err(format!("{refused} of {backlog} reports were refused").into());
    }

    drop(api);

    let done = "SELECT count(*) FROM job_runs WHERE kind = 'build_report' AND status = 'succeeded'";
    let (first, all) = (i64::try_from(backlog / 10)?, i64::try_from(backlog)?);
    let _worker = environment.processes().work();
    database.wait_until(done, |done| done >= first).await;
    let (began, before) = (Instant::now(), database.count(done).await);
    let connections = connections_until(database, done, all).await?;
    let jobs_per_second = (all - before) as f64 / began.elapsed().as_secs_f64();

    let api = environment.serve().await?;
    for single in 0..SINGLE {
        report(&client, &api, &token).send().await?.error_for_status()?;
        let now = all + i64::try_from(single)? + 1;
        database.wait_until(done, |done| done >= now).await;
    }
    let latency = "SELECT EXTRACT(EPOCH FROM percentile_disc(0.5) WITHIN GROUP (ORDER BY finished_at - created_at))::float8
                   FROM (SELECT * FROM job_runs WHERE kind = 'build_report' ORDER BY id DESC LIMIT $1) AS latest";
    let latency: f64 = sqlx::query_scalar(latency)
        .bind(i64::try_from(SINGLE)?)
        .fetch_one(&mut database.connect().await)
        .await?;
    Ok(Round {
        jobs_per_second,
        latency_ms: latency * 1e3,
        connections,
    })
}

fn report(client: &Client, api: &Server, token: &str) -> RequestBuilder {
    client
        .post(format!("{}/v1/reports", api.public))
        .bearer_auth(token)
        .header("idempotency-key", uuid::Uuid::new_v4().to_string())
        .json(&json!({ "from": "2026-01-01", "to": "2026-01-31" }))
}

/// Waits until all jobs are done; returns the largest number of connections of the worker meanwhile, by name.
async fn connections_until(
    database: &TestDatabase,
    done: &'static str,
    all: i64,
) -> Result<BTreeMap<String, i64>, Failure> {
    // Only the worker runs.
    let names = "SELECT application_name, count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name <> '' GROUP BY application_name";
    let mut connection = database.connect().await;
    let mut most = BTreeMap::<String, i64>::new();
    while database.count(done).await < all {
        let counts: Vec<(String, i64)> = sqlx::query_as(names).fetch_all(&mut connection).await?;
        for (name, count) in counts {
            let known = most.entry(name).or_default();
            *known = count.max(*known);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(most)
}

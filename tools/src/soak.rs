//! Soak test: the flows of the service run while its worker is killed. Each job that they enqueue succeeds, and none is
//! lost or added. A job that another job enqueues for the same subject counts as added.

#![expect(
    clippy::disallowed_methods,
    reason = "a tool has no shutdown to wait in, and calls what it started"
)]

use std::{
    collections::BTreeMap,
    fmt,
    sync::Mutex,
    time::{Duration, Instant},
};

use futures_util::{TryStreamExt, stream};
use sqlx::PgConnection;
use testkit::ProcessEnvironment;

use crate::{
    Failure,
    load::{Caller, Outcome, rotation},
};

const SUBJECT: &str = "soak";
const IN_FLIGHT: usize = 16;
/// The pause before a refused flow is repeated.
const REFUSED_PAUSE: Duration = Duration::from_millis(200);
/// Longer than a lease: if no job succeeds for this long, something is lost.
const STUCK_AFTER: Duration = Duration::from_secs(45);
const JOBS: &str = "SELECT kind, count(*), count(*) FILTER (WHERE status = 'succeeded'), \
                    count(*) FILTER (WHERE status IN ('failed', 'dead')), COALESCE(sum(attempt), 0)::bigint \
                    FROM job_runs WHERE subject = $1 GROUP BY kind";

/// The figures of a successful soak test.
#[derive(Debug)]
pub struct Soaked {
    /// The jobs that succeeded, by kind.
    pub succeeded: BTreeMap<String, i64>,
    /// Attempts that were started, over all workers.
    pub attempts: i64,
    /// Time from the first flow to the last job.
    pub took: Duration,
}

impl fmt::Display for Soaked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, count) in &self.succeeded {
            writeln!(f, "{kind}: {count} enqueued, {count} succeeded, none lost")?;
        }
        write!(
            f,
            "{} attempts in {:.0} s",
            self.attempts,
            self.took.as_secs_f64()
        )
    }
}

/// The jobs of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Jobs {
    enqueued: i64,
    succeeded: i64,
    failed: i64,
    attempts: i64,
}

/// Runs `flows` flows with the API of `environment`, in the shares of their weights, and kills its worker `kills` times
/// while it runs their jobs. `progress` is called after each kill.
///
/// # Errors
/// When a flow is refused for 45 seconds, when no flow enqueues a job, when a job fails, or when the jobs are not exactly those that the
/// successful requests enqueued.
///
/// # Panics
/// When a process does not start, or the database cannot be read.
pub async fn soak(
    environment: &ProcessEnvironment,
    flows: usize,
    kills: usize,
    progress: fn(&str),
) -> Result<Soaked, Failure> {
    if !environment.run(&["migrate"]).status.success() {
        return Err("the migrations failed".into());
    }
    let api = environment.serve();
    api.wait_for_probe("/readyz", 200).await;
    let caller = Caller::connect(api.public.clone(), environment.token(SUBJECT)).await?;
    let mut database = environment.database.connect().await;

    let per_request = jobs_per_request(&caller, &mut database).await?;
    if per_request.values().all(BTreeMap::is_empty) {
        return Err(
            "no flow of flows.toml enqueues a job, so there is nothing that a worker could lose".into(),
        );
    }
    let first = jobs(&mut database).await;
    let planned = planned(&caller, flows, &per_request);
    let began = Instant::now();
    let running = tokio::spawn(async move {
        let order = rotation(caller.flows()).into_iter().cycle().take(flows);
        let outcomes = Mutex::new(Vec::new());
        stream::iter(order.map(Ok))
            .try_for_each_concurrent(IN_FLIGHT, |flow| run_until_done(&caller, flow, &outcomes))
            .await?;
        Ok::<_, Failure>(outcomes.into_inner().expect("not poisoned"))
    });
    let mut worker = environment.work();
    for kill in 1..=kills {
        let wanted = planned * i64::try_from(kill)? / i64::try_from(kills + 1)?;
        wait_for(&mut database, |jobs| jobs.succeeded >= wanted).await?;
        worker.signal("KILL");
        worker.wait();
        let succeeded = total(&jobs(&mut database).await).succeeded;
        progress(&format!(
            "kill {kill} of {kills}: {succeeded} jobs have succeeded"
        ));
        worker = environment.work();
    }
    let outcomes = running.await??;
    wait_for(&mut database, |jobs| {
        jobs.succeeded + jobs.failed == jobs.enqueued
    })
    .await?;
    let took = began.elapsed();
    let found = jobs(&mut database).await;
    let expected = expected(&outcomes, &per_request, &first)?;
    for kind in found.keys().chain(expected.keys()) {
        let expected = expected.get(kind).unwrap_or(&0);
        let Jobs {
            enqueued,
            succeeded,
            failed,
            ..
        } = found.get(kind).copied().unwrap_or_default();
        if (enqueued, succeeded, failed) != (*expected, *expected, 0) {
            return Err(format!(
                "{kind}: {expected} were enqueued; {enqueued} exist, {succeeded} succeeded, {failed} failed"
            )
            .into());
        }
    }
    Ok(Soaked {
        attempts: total(&found).attempts,
        succeeded: expected,
        took,
    })
}

/// The jobs that a successful call of each operation enqueues, by operation and kind: every flow runs once, without a
/// worker.
async fn jobs_per_request(
    caller: &Caller,
    database: &mut PgConnection,
) -> Result<BTreeMap<String, BTreeMap<String, i64>>, Failure> {
    let mut per_request = BTreeMap::new();
    for flow in caller.flows() {
        let mut known = testkit::Known::default();
        for operation in flow.steps.iter().filter_map(|id| caller.contract().find(id)) {
            let before = jobs(database).await;
            let outcome = caller.call(operation, &mut known, None).await;
            let outcome = outcome.ok_or_else(|| format!("{}: an id is missing", operation.name))?;
            if !outcome.is_ok() {
                return Err(format!("{} got {}", operation.name, outcome.result).into());
            }
            let mut enqueued: BTreeMap<String, i64> = BTreeMap::new();
            for (kind, now) in jobs(database).await {
                let more = now.enqueued - before.get(&kind).copied().unwrap_or_default().enqueued;
                if more > 0 {
                    enqueued.insert(kind, more);
                }
            }
            per_request.insert(operation.name.clone(), enqueued);
        }
    }
    Ok(per_request)
}

/// Runs a flow, again and again while one of its requests is refused, as a client would.
async fn run_until_done(caller: &Caller, flow: usize, outcomes: &Mutex<Vec<Outcome>>) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let refused = Mutex::new(None);
        let record = |outcome: Outcome| {
            if !outcome.is_ok() {
                *refused.lock().expect("not poisoned") =
                    Some(format!("{} got {}", outcome.operation, outcome.result));
            }
            outcomes.lock().expect("not poisoned").push(outcome);
        };
        caller.run(&caller.flows()[flow], record).await;
        match refused.into_inner().expect("not poisoned") {
            None => return Ok(()),
            Some(result) if began.elapsed() > STUCK_AFTER => return Err(result.into()),
            Some(_) => tokio::time::sleep(REFUSED_PAUSE).await,
        }
    }
}

/// The number of jobs that this many flows enqueue.
fn planned(caller: &Caller, flows: usize, per_request: &BTreeMap<String, BTreeMap<String, i64>>) -> i64 {
    let order = rotation(caller.flows()).into_iter().cycle().take(flows);
    let operations = order.flat_map(|flow| &caller.flows()[flow].steps);
    let operations = operations.filter_map(|id| caller.contract().find(id));
    operations
        .flat_map(|operation| per_request[&operation.name].values())
        .sum()
}

/// The number of jobs that must exist, by kind: those from before and those of the successful requests.
fn expected(
    outcomes: &[Outcome],
    per_request: &BTreeMap<String, BTreeMap<String, i64>>,
    first: &BTreeMap<String, Jobs>,
) -> Result<BTreeMap<String, i64>, Failure> {
    let mut expected: BTreeMap<String, i64> = first
        .iter()
        .map(|(kind, jobs)| (kind.clone(), jobs.enqueued))
        .collect();
    for outcome in outcomes {
        let enqueued = &per_request[&*outcome.operation];
        if outcome.is_unknown && !enqueued.is_empty() {
            let Outcome {
                operation, result, ..
            } = outcome;
            return Err(format!("{operation} got {result}, and may have taken effect").into());
        }
        // A refused request enqueues nothing.
        for (kind, count) in enqueued.iter().filter(|_| outcome.is_ok()) {
            *expected.entry(kind.clone()).or_default() += count;
        }
    }
    Ok(expected)
}

async fn jobs(database: &mut PgConnection) -> BTreeMap<String, Jobs> {
    let rows = sqlx::query_as::<_, (String, i64, i64, i64, i64)>(JOBS)
        .bind(SUBJECT)
        .fetch_all(database)
        .await
        .expect("the jobs");
    let rows = rows
        .into_iter()
        .map(|(kind, enqueued, succeeded, failed, attempts)| {
            let jobs = Jobs {
                enqueued,
                succeeded,
                failed,
                attempts,
            };
            (kind, jobs)
        });
    rows.collect()
}

fn total(jobs: &BTreeMap<String, Jobs>) -> Jobs {
    jobs.values().fold(Jobs::default(), |sum, jobs| Jobs {
        enqueued: sum.enqueued + jobs.enqueued,
        succeeded: sum.succeeded + jobs.succeeded,
        failed: sum.failed + jobs.failed,
        attempts: sum.attempts + jobs.attempts,
    })
}

/// Waits until all jobs together are as `wanted`; an error if no further job succeeds for 45 seconds.
async fn wait_for(database: &mut PgConnection, wanted: impl Fn(&Jobs) -> bool) -> Result<(), Failure> {
    let (mut last, mut progressed) = (-1, Instant::now());
    loop {
        let now = total(&jobs(database).await);
        if wanted(&now) {
            return Ok(());
        }
        if now.succeeded > last {
            (last, progressed) = (now.succeeded, Instant::now());
        }
        if progressed.elapsed() > STUCK_AFTER {
            return Err(format!("no progress for {STUCK_AFTER:?}: {now:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

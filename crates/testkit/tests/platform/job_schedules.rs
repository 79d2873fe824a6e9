//! Scheduled jobs, in a service of their own: how often they are enqueued, whatever the number of workers.

use std::time::Duration;

use jobs::{Job, JobError, JobKind, Run};
use outcome::{Catalogue, common};
use platform::{Platform, Service};
use serde::{Deserialize, Serialize};
use testkit::UnderTest;

/// A job that ends at once.
#[derive(Serialize, Deserialize)]
struct Daily {}

impl Job for Daily {
    const KIND: &'static str = "daily";
    type State = ();
    type Outcome = ();

    async fn run(&self, _: &Run<()>) -> Result<(), JobError> {
        Ok(())
    }
}

/// A job that takes longer than its period.
#[derive(Serialize, Deserialize)]
struct Slow {}

impl Job for Slow {
    const KIND: &'static str = "slow";
    const TIMEOUT: Duration = Duration::from_mins(5);
    type State = ();
    type Outcome = ();

    async fn run(&self, _: &Run<()>) -> Result<(), JobError> {
        std::future::pending().await
    }
}

/// A job at a time that no test reaches.
#[derive(Serialize, Deserialize)]
struct Yearly {}

impl Job for Yearly {
    const KIND: &'static str = "yearly";
    type State = ();
    type Outcome = ();

    async fn run(&self, _: &Run<()>) -> Result<(), JobError> {
        Ok(())
    }
}

static KINDS: &[JobKind<()>] = &[
    JobKind::of::<Daily>().every(Duration::from_hours(24)),
    JobKind::of::<Slow>().every(Duration::from_secs(1)),
    JobKind::of::<Yearly>().cron("0 3 29 2 *", "Europe/Berlin"),
];

fn state(_: &platform::Settings, _: &Platform) -> anyhow::Result<()> {
    Ok(())
}

static SERVICE: Service<platform::Settings, ()> = Service::builder(
    "0.1.0",
    Catalogue::new(&[common::ALL, jobs::problems::ALL]),
    |_| (),
    state,
)
.jobs(KINDS)
.build();

struct Scheduled;

impl UnderTest for Scheduled {
    type Settings = platform::Settings;
    type State = ();

    fn service() -> &'static Service<platform::Settings, ()> {
        &SERVICE
    }
}

type TestApp = testkit::TestApp<Scheduled>;

#[tokio::test(flavor = "multi_thread")]
async fn each_occurrence_is_enqueued_once_and_not_while_the_last_run_has_not_ended() {
    let one = TestApp::build().worker().start().await;
    let other = TestApp::build().replica_of(&one).worker().start().await;
    let database = &other.database;
    let first = "SELECT count(DISTINCT kind) FROM job_runs WHERE kind IN ('daily', 'slow')";
    database.wait_until(first, |kinds| kinds == 2).await;
    // A later occurrence has passed, and both workers have looked at the schedules since.
    let later = "SELECT count(*) FROM job_schedules
                 WHERE kind = 'slow' AND last_at > (SELECT created_at + interval '6 s' FROM job_runs WHERE kind = 'slow')";
    database.wait_until(later, |later| later == 1).await;
    let runs = "SELECT count(*) FROM job_runs WHERE kind IN ('daily', 'slow')";
    assert_eq!(database.count(runs).await, 2);
    // A new schedule begins with its next occurrence.
    let known = "SELECT count(*) FROM job_schedules WHERE kind = 'yearly'";
    assert_eq!(database.count(known).await, 1);
    let runs = "SELECT count(*) FROM job_runs WHERE kind = 'yearly'";
    assert_eq!(database.count(runs).await, 0);
    // An occurrence that has passed is enqueued: any nine years contain a 29 February.
    database
        .execute("UPDATE job_schedules SET last_at = now() - interval '9 years' WHERE kind = 'yearly'")
        .await;
    database.wait_until(runs, |runs| runs == 1).await;
}

/// A dead run of a schedule is replaced by the next one: it needs no operator.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_run_of_a_schedule_is_replaced_by_the_next_one() {
    let app = TestApp::build().worker().start().await;
    let first = "SELECT count(*) FROM job_runs WHERE kind = 'daily' AND status = 'succeeded'";
    app.database.wait_until(first, |first| first == 1).await;
    app.database
        .execute(
            "UPDATE job_runs SET status = 'dead' WHERE kind = 'daily';
             UPDATE job_schedules SET last_at = last_at - interval '1 day' WHERE kind = 'daily'",
        )
        .await;
    app.database.wait_until(first, |first| first == 1).await;
    let all = "SELECT count(*) FROM job_runs WHERE kind = 'daily'";
    assert_eq!(app.database.count(all).await, 1);
}

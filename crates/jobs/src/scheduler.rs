//! Enqueues what schedules ask for. The clock is that of the database, so that a worker whose clock is wrong enqueues
//! nothing early.

use std::time::Duration;

use chrono::{DateTime, Utc};
use database::{Database, DatabaseError, Transaction, TransactionError, UnitOfWork};
use resilience::Deadline;
use uuid::Uuid;

use crate::{BoundKind, claim::CHANNEL, schedule::Occurrences};

/// The interval at which schedules are checked.
const INTERVAL: Duration = Duration::from_secs(5);
/// The unique key of a scheduled run: the next one is not enqueued until the last has ended.
const UNIQUE_KEY: &str = "schedule";

/// Enqueues the scheduled runs of these kinds until it is dropped.
pub(crate) async fn run(database: Database, kinds: Vec<BoundKind>) {
    let scheduled = kinds
        .into_iter()
        .filter_map(|kind| Some((kind.name(), kind.schedule?)))
        .collect::<Vec<_>>();
    if scheduled.is_empty() {
        return std::future::pending().await;
    }
    let mut works = true;
    let names = scheduled.iter().map(|(name, _)| (*name).to_owned()).collect();
    let last = LastOccurrences { names };
    loop {
        let enqueued = enqueue_due(&database, &last, &scheduled).await;
        if let Err(error) = &enqueued
            && works
        {
            tracing::warn!(%error, "scheduled jobs cannot be enqueued; retrying");
        }
        works = enqueued.is_ok();
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn enqueue_due(
    database: &Database,
    last: &LastOccurrences,
    scheduled: &[(&'static str, Occurrences)],
) -> Result<(), DatabaseError> {
    let deadline = || Deadline::after(INTERVAL);
    let (now, known) = database.run_idempotent(last, deadline(), || ()).await?;
    for (kind, occurrences) in scheduled {
        let last = known.iter().find(|(name, _)| name == kind).map(|(_, last)| *last);
        // The current period of a new schedule has its run; the last occurrence of a new cron pattern is past.
        let due = match (last, occurrences) {
            (Some(last), _) => occurrences.latest(last, now),
            (None, Occurrences::Every(_)) => occurrences.latest(DateTime::UNIX_EPOCH, now),
            (None, Occurrences::Cron(..)) => Some(now),
        };
        if let Some(occurrence) = due {
            let enqueue = Enqueue {
                kind,
                last,
                occurrence,
                is_new: last.is_none() && matches!(occurrences, Occurrences::Cron(..)),
            };
            database.transaction_cancellable(&enqueue, deadline()).await?;
        }
    }
    Ok(())
}

struct LastOccurrences {
    names: Vec<String>,
}

impl UnitOfWork for LastOccurrences {
    const NAME: &'static str = "read_schedules";
    type Output = (DateTime<Utc>, Vec<(String, DateTime<Utc>)>);
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Self::Output, TransactionError<DatabaseError>> {
        let rows = sqlx::query!(
            r#"/* read_schedules */
            SELECT now() AS "now!", kind AS "kind?", last_at AS "last_at?"
            FROM (SELECT) AS one LEFT JOIN job_schedules ON kind = ANY($1)"#,
            &self.names
        );
        let rows = rows.fetch_all(&mut **transaction).await?;
        let now = rows.first().expect("the left join returns a row").now;
        let known = rows.into_iter().filter_map(|row| Some((row.kind?, row.last_at?)));
        Ok((now, known.collect()))
    }
}

/// Enqueues one occurrence, unless another worker has done it.
struct Enqueue {
    kind: &'static str,
    last: Option<DateTime<Utc>>,
    occurrence: DateTime<Utc>,
    /// Whether to record the schedule without enqueuing a run.
    is_new: bool,
}

impl UnitOfWork for Enqueue {
    const NAME: &'static str = "enqueue_scheduled";
    type Output = ();
    type Refusal = DatabaseError;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), TransactionError<DatabaseError>> {
        let advanced = sqlx::query!(
            "/* advance_schedule */
            INSERT INTO job_schedules AS known (kind, last_at) VALUES ($1, $2)
            ON CONFLICT (kind) DO UPDATE SET last_at = EXCLUDED.last_at WHERE known.last_at = $3",
            self.kind,
            self.occurrence,
            self.last
        );
        let advanced = advanced.execute(&mut **transaction).await?.rows_affected() > 0;
        if !advanced || self.is_new {
            return Ok(());
        }
        // A dead run of the schedule is replaced by the next one.
        sqlx::query!(
            "/* discard_replaced */
            DELETE FROM job_runs WHERE kind = $1 AND unique_key = $2 AND status = 'dead'",
            self.kind,
            UNIQUE_KEY
        )
        .execute(&mut **transaction)
        .await?;
        let enqueued = sqlx::query!(
            "/* enqueue_scheduled */
            INSERT INTO job_runs (id, kind, unique_key, payload) VALUES ($1, $2, $3, '{}')
            ON CONFLICT (kind, unique_key) WHERE unique_key IS NOT NULL AND status IN ('queued', 'running') DO NOTHING",
            Uuid::now_v7(),
            self.kind,
            UNIQUE_KEY
        );
        if enqueued.execute(&mut **transaction).await?.rows_affected() == 0 {
            tracing::info!(
                job = self.kind,
                "an occurrence was skipped, because the last run has not ended"
            );
        }
        transaction.notify(CHANNEL);
        Ok(())
    }
}

//! The numbers of runs by kind and state. One process of the cluster counts them, the others read its result.

use database::{DatabaseError, Transaction, TransactionError, UnitOfWork};
use serde::Deserialize;
use sqlx::types::Json;

/// A state of a run, as gauges show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Due, and waiting for a worker.
    Queued,
    /// Due later: enqueued for a later time, or waiting for the next attempt.
    Scheduled,
    /// Waiting for a dependency.
    Postponed,
    Running,
    Dead,
}

impl State {
    pub(crate) const ALL: [Self; 5] = [
        Self::Queued,
        Self::Scheduled,
        Self::Postponed,
        Self::Running,
        Self::Dead,
    ];

    /// The label in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Scheduled => "scheduled",
            Self::Postponed => "postponed",
            Self::Running => "running",
            Self::Dead => "dead",
        }
    }
}

/// The runs of one kind in one state.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Count {
    pub(crate) kind: String,
    pub(crate) state: State,
    pub(crate) runs: i64,
    /// The time that the oldest of them has spent in the state, in seconds.
    pub(crate) oldest_seconds: f64,
}

/// The totals and their age.
#[derive(Debug)]
pub(crate) struct Totals {
    pub(crate) age_seconds: f64,
    pub(crate) counts: Json<Vec<Count>>,
}

/// Reads the totals, and counts first if a count is due. A count that takes long is repeated less often: counting takes at
/// most a fifth of one connection.
pub(crate) struct ReadTotals;

impl UnitOfWork for ReadTotals {
    const NAME: &'static str = "count_jobs";
    type Output = Totals;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Totals, TransactionError<DatabaseError>> {
        // Each branch has an index of its own: finished runs are not read.
        let totals = sqlx::query_as!(
            Totals,
            r#"/* count_jobs */
            WITH due AS MATERIALIZED (
              SELECT id FROM job_totals
              WHERE counted_at < now() - make_interval(secs => greatest(0.9, took_seconds * 5)) FOR UPDATE SKIP LOCKED
            ), counted_runs AS (
              SELECT * FROM job_runs WHERE status = 'queued' AND crashes < 2 AND EXISTS (SELECT FROM due)
              UNION ALL
              SELECT * FROM job_runs WHERE status = 'queued' AND crashes >= 2 AND EXISTS (SELECT FROM due)
              UNION ALL
              SELECT * FROM job_runs WHERE status = 'running' AND EXISTS (SELECT FROM due)
              UNION ALL
              SELECT * FROM job_runs WHERE status = 'dead' AND EXISTS (SELECT FROM due)
            ), states AS (
              SELECT job_runs.kind,
                     CASE WHEN status <> 'queued' THEN status
                          WHEN job_pauses.kind IS NOT NULL OR (due_at > now() AND postponed_since IS NOT NULL) THEN 'postponed'
                          WHEN due_at > now() THEN 'scheduled' ELSE 'queued' END AS state,
                     CASE WHEN status = 'running' THEN started_at WHEN status = 'dead' THEN finished_at
                          WHEN job_pauses.kind IS NOT NULL THEN least(postponed_since, job_pauses.since)
                          WHEN due_at > now() THEN COALESCE(postponed_since, created_at) ELSE due_at END AS since
              FROM counted_runs AS job_runs LEFT JOIN job_pauses ON job_pauses.kind = job_runs.kind
            ), by_state AS (
              SELECT kind, state, count(*) AS runs, greatest(EXTRACT(EPOCH FROM now() - min(since)), 0)::float8 AS oldest_seconds
              FROM states GROUP BY kind, state
            ), counted AS (
              SELECT COALESCE(jsonb_agg(by_state), '[]') AS counts FROM by_state
            ), refreshed AS (
              UPDATE job_totals
              SET counted_at = now(), counts = counted.counts,
                  took_seconds = EXTRACT(EPOCH FROM clock_timestamp() - now())
              FROM counted WHERE id IN (SELECT id FROM due)
              RETURNING counted_at, job_totals.counts
            )
            SELECT EXTRACT(EPOCH FROM now() - latest.counted_at)::float8 AS "age_seconds!",
                   latest.counts AS "counts!: Json<Vec<Count>>"
            FROM (SELECT * FROM refreshed UNION ALL SELECT counted_at, counts FROM job_totals) AS latest
            ORDER BY latest.counted_at DESC LIMIT 1"#
        );
        Ok(totals.fetch_one(&mut **transaction).await?)
    }
}

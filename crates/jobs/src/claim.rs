//! Claims: a worker takes due runs of the kinds that it knows.

use database::{DatabaseError, Transaction, TransactionError, UnitOfWork};
use serde_json::Value;
use uuid::Uuid;

use crate::BoundKind;

/// The channel of notifications about due runs.
pub(crate) const CHANNEL: &str = "job_runs";
/// The time after the time limit of a probe at which another worker may send the next one, in seconds.
const PROBE_MARGIN: f64 = 5.0;

/// An attempt that this worker has started.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) payload: Value,
    /// With the attempt, the fencing token.
    pub(crate) worker: Uuid,
    pub(crate) attempt: i32,
    pub(crate) failures: i32,
    pub(crate) postponements: i32,
    pub(crate) crashes: i32,
    /// The time since the first failure, in seconds.
    pub(crate) failing_seconds: f64,
    pub(crate) subject: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) traceparent: Option<String>,
    /// Whether the kind is paused, and this run finds out whether its dependency is available again.
    pub(crate) is_probe: bool,
}

/// A kind with the number of runs that the worker has room for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room<'a> {
    pub(crate) kind: &'a BoundKind,
    pub(crate) free: usize,
}

/// Claims due runs: each kind is asked for by name, so that a worker never sees a kind that it does not know.
pub(crate) struct Claim {
    worker: Uuid,
    names: Vec<String>,
    ranks: Vec<i16>,
    free: Vec<i64>,
    limit: i64,
    probe_seconds: Vec<f64>,
}

impl Claim {
    pub(crate) fn new(worker: Uuid, rooms: &[Room<'_>], limit: usize) -> Self {
        let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        Self {
            worker,
            names: rooms.iter().map(|room| room.kind.name().to_owned()).collect(),
            ranks: rooms
                .iter()
                .map(|room| room.kind.properties.priority.rank())
                .collect(),
            free: rooms.iter().map(|room| signed(room.free.min(limit))).collect(),
            limit: signed(limit),
            probe_seconds: rooms
                .iter()
                .map(|room| room.kind.timeout().as_secs_f64() + PROBE_MARGIN)
                .collect(),
        }
    }
}

impl UnitOfWork for Claim {
    const NAME: &'static str = "claim_jobs";
    type Output = Vec<Claimed>;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Vec<Claimed>, TransactionError<DatabaseError>> {
        // The claim does not wait for the disk: a server that crashes may forget it, and the run is claimed again with the
        // same attempt number. The worker in the fencing token distinguishes claims of different workers.
        // A kind whose pause has ended is claimed by the worker that locks the pause, and for one run, for whose time the
        // pause is extended. The rows are locked, so their addresses do not change within the statement.
        let claimed = sqlx::query_as!(
            Claimed,
            r#"/* claim_jobs */
            WITH ended AS MATERIALIZED (
              SELECT kind FROM job_pauses WHERE kind = ANY($2) AND until <= now() FOR UPDATE SKIP LOCKED
            ), wanted AS (
              SELECT name, rank, probe_seconds, CASE WHEN ended.kind IS NULL THEN free ELSE 1 END AS free, ended.kind IS NOT NULL AS is_probe
              FROM unnest($2::text[], $3::smallint[], $4::bigint[], $6::float8[]) AS asked (name, rank, free, probe_seconds)
              LEFT JOIN ended ON ended.kind = name
              WHERE (ended.kind IS NOT NULL OR name NOT IN (SELECT kind FROM job_pauses))
                AND EXISTS (SELECT FROM job_workers WHERE id = $1)
            ), due AS MATERIALIZED (
              SELECT run.tid, wanted.name, wanted.probe_seconds, wanted.is_probe
              FROM wanted CROSS JOIN LATERAL (
                SELECT ctid AS tid, due_at FROM job_runs
                WHERE kind = wanted.name AND status = 'queued' AND crashes < 2 AND due_at <= now()
                ORDER BY due_at LIMIT wanted.free FOR UPDATE SKIP LOCKED
              ) AS run
              ORDER BY NOT wanted.is_probe, wanted.rank, run.due_at LIMIT $5
            ), probing AS (
              UPDATE job_pauses SET until = now() + make_interval(secs => due.probe_seconds)
              FROM due WHERE due.is_probe AND job_pauses.kind = due.name
            )
            UPDATE job_runs
            SET status = 'running', attempt = attempt + 1, worker = $1, started_at = now(), progress = NULL
            FROM due WHERE job_runs.ctid = due.tid
            RETURNING job_runs.id, kind, payload, attempt, failures, postponements, crashes, subject, request_id, traceparent,
              COALESCE(EXTRACT(EPOCH FROM now() - failing_since), 0)::float8 AS "failing_seconds!", worker AS "worker!",
              CASE set_config('synchronous_commit', 'off', true) WHEN 'off' THEN due.is_probe END AS "is_probe!""#,
            self.worker,
            &self.names,
            &self.ranks,
            &self.free,
            self.limit,
            &self.probe_seconds
        );
        Ok(claimed.fetch_all(&mut **transaction).await?)
    }
}

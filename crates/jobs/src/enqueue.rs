//! Enqueuing, in the caller's transaction: if it is rolled back, the run never existed; if it commits, the run will be
//! executed.

use chrono::{DateTime, Utc};
use database::Transaction;
use runtime::RequestContext;
use uuid::Uuid;

use crate::{Job, claim::CHANNEL};

/// How a run is enqueued.
#[derive(Clone, Debug, Default)]
pub struct EnqueueOptions {
    /// The time at which the run becomes due; immediately if `None`.
    pub due_at: Option<DateTime<Utc>>,
    /// While a run of this kind with this key is queued or running, no other one is enqueued. A queued one does not start
    /// before the caller's transaction ends; a running one may have started before it.
    pub unique_key: Option<String>,
}

/// The run that a call has enqueued, or found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enqueued {
    /// The id, which `GET /v1/jobs/{id}` takes.
    pub id: Uuid,
    /// Whether the call enqueued the run; otherwise, an unfinished one has the same unique key.
    pub is_new: bool,
}

/// Enqueues a job that is due immediately; returns its id, which `GET /v1/jobs/{id}` takes.
///
/// # Errors
/// When the statement fails.
///
/// # Panics
/// When the payload does not serialize.
pub async fn enqueue<J: Job>(
    transaction: &mut Transaction<'_>,
    subject: &str,
    job: &J,
    context: &RequestContext,
) -> sqlx::Result<Uuid> {
    let enqueued = enqueue_with(transaction, subject, job, EnqueueOptions::default(), context).await?;
    Ok(enqueued.id)
}

/// Enqueues a job that becomes due at this time; returns its id.
///
/// # Errors
/// When the statement fails.
///
/// # Panics
/// When the payload does not serialize.
pub async fn enqueue_at<J: Job>(
    transaction: &mut Transaction<'_>,
    subject: &str,
    job: &J,
    due_at: DateTime<Utc>,
    context: &RequestContext,
) -> sqlx::Result<Uuid> {
    let options = EnqueueOptions {
        due_at: Some(due_at),
        unique_key: None,
    };
    let enqueued = enqueue_with(transaction, subject, job, options, context).await?;
    Ok(enqueued.id)
}

/// Enqueues a job with these options.
///
/// # Errors
/// When a statement fails.
///
/// # Panics
/// When the payload does not serialize.
pub async fn enqueue_with<J: Job>(
    transaction: &mut Transaction<'_>,
    subject: &str,
    job: &J,
    options: EnqueueOptions,
    context: &RequestContext,
) -> sqlx::Result<Enqueued> {
    let payload = serde_json::to_value(job).expect("payloads serialize");
    let traceparent = context.traceparent();
    loop {
        let inserted = sqlx::query_scalar!(
            "/* enqueue */
            INSERT INTO job_runs (id, subject, kind, payload, due_at, unique_key, request_id, traceparent)
            VALUES ($1, $2, $3, $4, COALESCE($5, now()), $6, $7, $8)
            ON CONFLICT (kind, unique_key) WHERE unique_key IS NOT NULL AND status IN ('queued', 'running') DO NOTHING
            RETURNING id",
            Uuid::now_v7(),
            subject,
            J::KIND,
            payload,
            options.due_at,
            options.unique_key,
            context.request_id(),
            traceparent
        );
        if let Some(id) = inserted.fetch_optional(&mut **transaction).await? {
            transaction.notify(CHANNEL);
            return Ok(Enqueued { id, is_new: true });
        }
        // Locked, so that the run does not start before this transaction ends, and then sees what it has changed.
        let queued = sqlx::query_scalar!(
            "/* find_queued */
            SELECT id FROM job_runs WHERE kind = $1 AND unique_key = $2 AND status = 'queued' FOR SHARE",
            J::KIND,
            options.unique_key
        );
        if let Some(id) = queued.fetch_optional(&mut **transaction).await? {
            return Ok(Enqueued { id, is_new: false });
        }
        // If it has ended meanwhile, the key is free again.
        let running = sqlx::query_scalar!(
            "/* find_running */
            SELECT id FROM job_runs WHERE kind = $1 AND unique_key = $2 AND status = 'running'",
            J::KIND,
            options.unique_key
        );
        if let Some(id) = running.fetch_optional(&mut **transaction).await? {
            return Ok(Enqueued { id, is_new: false });
        }
    }
}

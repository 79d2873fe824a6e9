//! `GET /v1/jobs/{id}`

use chrono::{DateTime, Utc};
use database::DatabaseError;
use jobs::{Progress, find, problems::JOB_NOT_FOUND};
use macros::{Refusal, operation};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Json,
    extract::{Caller, Context, Path, Shared},
};

/// A background job.
#[derive(Debug, Serialize, ToSchema)]
pub struct Job {
    /// The id of the job.
    id: Uuid,
    /// The kind of work that the job does.
    #[schema(example = "send_invoice")]
    kind: String,
    /// `queued`, `running`, `succeeded`, `failed` (a retry cannot help), `dead` (no longer retried) or `cancelled`.
    #[schema(example = "running")]
    status: String,
    /// Number of attempts started so far.
    #[schema(example = 1)]
    attempts: i32,
    /// When the job was enqueued.
    created_at: DateTime<Utc>,
    /// When the next attempt can start, while a dependency of the job is unavailable.
    postponed_until: Option<DateTime<Utc>>,
    /// The progress of a running job, if it reports any.
    progress: Option<Progress>,
    /// When the job ended, in success or failure; null until then.
    finished_at: Option<DateTime<Utc>>,
    /// The result, once the job has succeeded.
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
    /// The problem that ended the job, if it did not succeed.
    problem: Option<JobProblem>,
}

/// The problem that ended a job.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobProblem {
    /// The path of the page that explains the problem type.
    r#type: String,
    /// A short summary of the problem type.
    title: &'static str,
    /// The code of the problem type.
    code: &'static str,
}

/// The ways reading a job can be refused.
#[derive(Debug, Refusal)]
pub enum GetJobRefusal {
    /// 404: no job has this id, or it belongs to another subject.
    #[problem(JOB_NOT_FOUND, "no job with this id exists for this subject")]
    NotFound,
    /// Everything in [`DatabaseError`].
    #[refusal(transparent)]
    Database(DatabaseError),
}

/// Returns the state of a job.
#[operation(GET "/v1/jobs/{id}", authenticated)]
pub(crate) async fn get_job(
    caller: Caller,
    id: Path<Uuid>,
    context: Context,
    shared: Shared,
) -> Result<Json<Job>, GetJobRefusal> {
    let database = shared
        .jobs
        .as_ref()
        .expect("the operation is registered only if the service has jobs");
    let found = database.read(&find(id.0, &caller.subject), &context).await?;
    let job = found.ok_or(GetJobRefusal::NotFound)?;
    let row = job.problem.and_then(|code| shared.catalogue.find(&code));
    Ok(Json(Job {
        id: job.id,
        kind: job.kind,
        status: job.status,
        attempts: job.attempts,
        created_at: job.created_at,
        postponed_until: job.postponed_until,
        progress: job.progress.map(|progress| progress.0),
        finished_at: job.finished_at,
        result: job.result,
        problem: row.map(|row| JobProblem {
            r#type: row.uri(),
            title: row.title,
            code: row.code,
        }),
    }))
}

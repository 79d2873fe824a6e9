//! `GET /v1/jobs/{id}`

use chrono::{DateTime, Utc};
use database::Fault;
use jobs::{find, problems::JOB_NOT_FOUND};
use macros::{Refusal, operation};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Json,
    extract::{Caller, Context, Path, Shared},
};

/// A job, as whoever asked for it sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Job {
    /// Its id.
    id: Uuid,
    /// What kind of work.
    kind: String,
    /// `queued`, `running`, `succeeded`, `failed` (it can never work) or `dead` (out of attempts).
    status: String,
    /// Starts so far.
    attempts: i32,
    /// When it was asked for.
    created_at: DateTime<Utc>,
    /// When it ended, one way or the other.
    finished_at: Option<DateTime<Utc>>,
    /// What it yielded, once it has succeeded.
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
    /// Why it failed.
    problem: Option<JobProblem>,
}

/// What ended a job.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobProblem {
    /// Where it is explained.
    r#type: String,
    /// In a few words.
    title: &'static str,
    /// The code of its problem type.
    code: &'static str,
}

/// Every way in which reading a job can be refused.
#[derive(Debug, Refusal)]
pub enum GetJobRefusal {
    /// 404: there is none with this id, or it is another subject's.
    #[problem(JOB_NOT_FOUND, "there is no job with this id for you")]
    NotFound,
    /// Everything in [`Fault`].
    #[refusal(transparent)]
    Database(Fault),
}

/// How far a job is.
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
        .expect("registered only where there are jobs");
    let found = database.read(&find(id.0, &caller.subject), &context).await?;
    let job = found.ok_or(GetJobRefusal::NotFound)?;
    let row = job.problem.and_then(|code| shared.catalogue.find(&code));
    Ok(Json(Job {
        id: job.id,
        kind: job.kind,
        status: job.status,
        attempts: job.attempts,
        created_at: job.created_at,
        finished_at: job.finished_at,
        result: job.result,
        problem: row.map(|row| JobProblem {
            r#type: row.uri(),
            title: row.title,
            code: row.code,
        }),
    }))
}

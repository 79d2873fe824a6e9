//! `POST /v1/reports`

use chrono::{Datelike, NaiveDate};
use database::{
    DatabaseError, Transaction, TransactionError, UnitOfWork,
    idempotency::{IdempotencyRefusal, IdempotentRequest, RecordedResponse},
};
use http_server::{
    Accepted, Recorded, Refusal,
    extract::{Body, Caller, Context, IdempotencyKey, State},
    operation,
};
use jobs::{Queue, QueueRefusal, enqueue};
use runtime::RequestContext;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use validator::{Validate, ValidationError};

use super::orders::OrdersRead;
use crate::{jobs::BuildReport, state::Api};

/// The longest period of a report, counting both ends.
const LONGEST_DAYS: i64 = 366;
/// Years that every system can represent; Postgres, for example, starts in 4713 BC.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

/// The period of a report.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[validate(schema(function = "valid_period", skip_on_field_errors = false))]
pub(super) struct CreateReport {
    /// The first day of the period.
    from: NaiveDate,
    /// The last day of the period. The period has at most 366 days.
    to: NaiveDate,
}

fn valid_period(report: &CreateReport) -> Result<(), ValidationError> {
    let days = (report.to - report.from).num_days();
    let invalid = |code, message: &'static str| Err(ValidationError::new(code).with_message(message.into()));
    if [report.from, report.to]
        .iter()
        .any(|day| !YEARS.contains(&day.year()))
    {
        return invalid("range", "must be in the years 1 to 9999");
    }
    match days {
        ..0 => invalid("range", "`to` must not be before `from`"),
        LONGEST_DAYS.. => invalid("range", "must not be longer than a year"),
        _ => Ok(()),
    }
}

/// A request that was accepted and is processed by a job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Accepted)]
pub(super) struct Queued {
    /// The id of the job; `GET /v1/jobs/{id}` returns its status.
    job_id: Uuid,
    /// Always `queued`.
    #[schema(example = "queued")]
    status: &'static str,
}

/// Every way in which requesting a report can be refused.
#[derive(Debug, Refusal)]
pub(super) enum CreateReportRefusal {
    /// Everything in [`QueueRefusal`].
    #[refusal(transparent)]
    Queue(QueueRefusal),
    /// Everything in [`IdempotencyRefusal`].
    #[refusal(transparent)]
    Idempotency(IdempotencyRefusal),
    /// Everything in [`DatabaseError`].
    #[refusal(transparent)]
    Database(DatabaseError),
}

/// Requests a report.
///
/// A job builds the report; `GET /v1/jobs/{id}` returns its status and, once it has succeeded, the report. A repeated
/// request with the same idempotency key returns the first response and starts no other job.
#[operation(POST "/v1/reports", scope = OrdersRead, links(get_job.id = "/job_id"))]
pub(super) async fn create_report(
    caller: Caller,
    key: IdempotencyKey,
    request: Body<CreateReport>,
    context: Context,
    api: State<Api>,
) -> Result<Recorded<Accepted<Queued>>, CreateReportRefusal> {
    let enqueue_report = EnqueueReport {
        queue: api.queue.clone(),
        idempotent: key.request(&caller, &request.0, api.idempotency_retention),
        subject: caller.subject,
        job: BuildReport {
            from: request.0.from,
            to: request.0.to,
        },
        context: context.clone(),
    };
    let response = api.database.transaction(enqueue_report, &context).await?;
    Ok(Recorded::from(response))
}

struct EnqueueReport {
    queue: Queue,
    idempotent: IdempotentRequest,
    subject: String,
    job: BuildReport,
    context: RequestContext,
}

impl UnitOfWork for EnqueueReport {
    const NAME: &'static str = "create_report";
    type Output = RecordedResponse;
    type Refusal = CreateReportRefusal;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<RecordedResponse, TransactionError<CreateReportRefusal>> {
        if let Some(recorded) = self.idempotent.begin(transaction).await? {
            return Ok(recorded);
        }
        self.queue
            .admit()
            .map_err(|full| TransactionError::Refused(full.into()))?;
        let job_id = enqueue(transaction, &self.subject, &self.job, &self.context).await?;
        let queued = Queued {
            job_id,
            status: "queued",
        };
        let response = RecordedResponse::accepted(format!("/v1/jobs/{job_id}"), &queued);
        self.idempotent.record(transaction, &response).await?;
        Ok(response)
    }
}

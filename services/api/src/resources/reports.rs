//! `POST /v1/reports`

use chrono::{Datelike, NaiveDate};
use database::{Fault, Transaction, TransactionError, UnitOfWork};
use http_server::{
    Accepted, Refusal,
    extract::{Body, Caller, Context, State},
    operation,
};
use jobs::{QueueRefusal, enqueue};
use runtime::RequestContext;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use validator::{Validate, ValidationError};

use super::orders::OrdersRead;
use crate::{jobs::BuildReport, state::Api};

/// Longer than a year is not one report.
const LONGEST_DAYS: i64 = 366;
/// What every system that reads dates agrees on; Postgres begins in 4713 BC.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

/// What a report is wanted about.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[validate(schema(function = "is_a_period", skip_on_field_errors = false))]
pub struct CreateReport {
    /// The first day.
    from: NaiveDate,
    /// The last day.
    to: NaiveDate,
}

fn is_a_period(report: &CreateReport) -> Result<(), ValidationError> {
    let days = (report.to - report.from).num_days();
    let broken = |code, message: &'static str| Err(ValidationError::new(code).with_message(message.into()));
    if [report.from, report.to]
        .iter()
        .any(|day| !YEARS.contains(&day.year()))
    {
        return broken("range", "must be in the years 1 to 9999");
    }
    match days {
        ..0 => broken("range", "`to` must not be before `from`"),
        LONGEST_DAYS.. => broken("range", "must not be longer than a year"),
        _ => Ok(()),
    }
}

/// It is being worked on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Accepted)]
pub struct Queued {
    /// Where `GET /v1/jobs/{id}` tells how far it is.
    job_id: Uuid,
    /// `queued`.
    status: &'static str,
}

/// Every way in which asking for a report can be refused.
#[derive(Debug, Refusal)]
pub enum CreateReportRefusal {
    /// Everything in [`QueueRefusal`].
    #[refusal(transparent)]
    Queue(QueueRefusal),
    /// Everything in [`Fault`].
    #[refusal(transparent)]
    Database(Fault),
}

/// Has a report built by a worker.
#[operation(POST "/v1/reports", scope = OrdersRead)]
pub async fn create_report(
    caller: Caller,
    request: Body<CreateReport>,
    context: Context,
    api: State<Api>,
) -> Result<Accepted<Queued>, CreateReportRefusal> {
    api.queue.admit()?;
    let order = OrderReport {
        subject: caller.subject,
        job: BuildReport {
            from: request.0.from,
            to: request.0.to,
        },
        context: context.clone(),
    };
    let job_id = api.database.transaction(order, &context).await?;
    let queued = Queued {
        job_id,
        status: "queued",
    };
    Ok(Accepted::at(format!("/v1/jobs/{job_id}"), queued))
}

struct OrderReport {
    subject: String,
    job: BuildReport,
    context: RequestContext,
}

impl UnitOfWork for OrderReport {
    const NAME: &'static str = "create_report";
    type Output = Uuid;
    type Refusal = CreateReportRefusal;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Uuid, TransactionError<CreateReportRefusal>> {
        Ok(enqueue(transaction, &self.subject, &self.job, &self.context).await?)
    }
}

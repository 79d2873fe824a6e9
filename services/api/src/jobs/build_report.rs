//! The job that builds a report of a subject's orders, which would take too long for a request.

use std::time::Duration;

use chrono::{Days, NaiveDate, NaiveTime};
use database::{DatabaseError, Transaction, TransactionError, UnitOfWork};
use jobs::{Job, JobError, Priority, Run};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::state::Api;

/// Builds a report of these days, both included.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BuildReport {
    pub(crate) from: NaiveDate,
    pub(crate) to: NaiveDate,
}

/// The result: the totals of each currency.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    from: NaiveDate,
    to: NaiveDate,
    currencies: Vec<CurrencyTotal>,
}

#[derive(Debug, Serialize)]
struct CurrencyTotal {
    currency: String,
    orders: i64,
    total_cents: i64,
}

impl Job for BuildReport {
    const KIND: &'static str = "build_report";
    const TIMEOUT: Duration = Duration::from_mins(1);
    const PRIORITY: Priority = Priority::Low;
    type State = Api;
    type Outcome = Report;

    fn samples() -> Vec<Self> {
        let day = NaiveDate::default();
        vec![Self { from: day, to: day }]
    }

    async fn run(&self, run: &Run<Api>) -> Result<Report, JobError> {
        let totals = Totals {
            subject: run.subject.clone().unwrap_or_default(),
            period: self.clone(),
        };
        let currencies = run.database.read(&totals, &run.context).await;
        Ok(Report {
            from: self.from,
            to: self.to,
            currencies: currencies.map_err(JobError::database)?,
        })
    }
}

/// The difference that is tolerated between the clock of the replica, from which the id of an order comes, and that of
/// the database, from which its time comes.
const TOLERANCE: Days = Days::new(1);

/// The lowest id of an order of this day: ids are UUIDv7 and begin with their time, so an index on them finds the orders of
/// a period.
fn first_id(day: NaiveDate) -> Uuid {
    let milliseconds = day.and_time(NaiveTime::MIN).and_utc().timestamp_millis();
    Uuid::from_u128(u128::from(milliseconds.max(0).unsigned_abs()) << 80)
}

struct Totals {
    subject: String,
    period: BuildReport,
}

impl UnitOfWork for Totals {
    const NAME: &'static str = "report_totals";
    type Output = Vec<CurrencyTotal>;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Vec<CurrencyTotal>, TransactionError<DatabaseError>> {
        let totals = sqlx::query_as!(
            CurrencyTotal,
            r#"/* report_totals */
            SELECT currency, count(*) AS "orders!", sum(total_cents)::bigint AS "total_cents!"
            FROM orders
            WHERE subject = $1 AND status = 'pending' AND id >= $4 AND id < $5
              AND created_at >= $2::date AND created_at < $3::date + 1
            GROUP BY currency ORDER BY currency"#,
            self.subject,
            self.period.from,
            self.period.to,
            first_id(self.period.from - TOLERANCE),
            first_id(self.period.to + TOLERANCE + TOLERANCE),
        );
        Ok(totals.fetch_all(&mut **transaction).await?)
    }
}

//! A `?` that would turn any database error into a 500, whatever its cause.

use http_server::{NoContent, Refusal, operation};
use outcome::common;

/// Refusals of the operation.
#[derive(Debug, Refusal)]
enum AnswerRefusal {
    /// There is no answer.
    #[problem(common::ROUTE_NOT_FOUND, "there is no answer")]
    NoAnswer,
}

/// Queries the database.
#[operation(GET "/v1/answer", public)]
async fn answer() -> Result<NoContent, AnswerRefusal> {
    Err(sqlx::Error::PoolClosed)?
}

fn main() {}

//! A `?` that would turn what is known about a failure into a 500.

use http_server::{NoContent, Refusal, operation};
use outcome::common;

/// In one way.
#[derive(Debug, Refusal)]
enum AnswerRefusal {
    /// There is no answer.
    #[problem(common::ROUTE_NOT_FOUND, "there is no answer")]
    NoAnswer,
}

/// Asks the database.
#[operation(GET "/v1/answer", public)]
async fn answer() -> Result<NoContent, AnswerRefusal> {
    Err(sqlx::Error::PoolClosed)?
}

fn main() {}

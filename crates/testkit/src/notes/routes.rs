//! Operations that exist only in tests: a bug, and work that takes as long as the test wants.

use std::{convert::Infallible, sync::LazyLock, time::Duration};

use actix_web::{
    HttpResponse,
    web::{self, Bytes},
};
use futures_util::stream;
use http_server::{
    Content, Json, MediaType, NoContent, Operations, Refusal,
    extract::{Context, Path, Query, State},
    operation,
};
use tokio::sync::Semaphore;
use upstream::{Call, UpstreamFault};

use super::{
    copies::copy_note,
    operations::{list_notes, read_note, remove_note, write_note},
};

static GATE: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(0));

pub(super) fn operations(operations: &mut Operations) {
    operations
        .register::<panics>()
        .register::<sleeps>()
        .register::<never_ends>()
        .register::<asks_upstream>()
        .register::<echoes>()
        .register::<counts>()
        .register::<write_note>()
        .register::<read_note>()
        .register::<copy_note>()
        .register::<list_notes>()
        .register::<remove_note>()
        .raw(|service| {
            service.route("/v1/test/undesigned", web::get().to(fails));
        });
}

/// A bug.
#[operation(GET "/v1/test/panic", public)]
async fn panics() -> Result<NoContent, Infallible> {
    panic!("provoked-panic-marker")
}

/// An error status without a problem: what the framework would answer by itself.
async fn fails() -> HttpResponse {
    HttpResponse::BadGateway().body("select secrets from sqlx")
}

/// What a query is checked for.
#[derive(serde::Deserialize, validator::Validate, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Limit {
    #[validate(range(min = 1, message = "must be at least 1"))]
    limit: i64,
}

/// Checks a query.
#[operation(GET "/v1/test/echo", public)]
async fn echoes(limit: Query<Limit>) -> Result<Json<i64>, Infallible> {
    Ok(Json(limit.0.limit))
}

/// How asking another service can be refused.
#[derive(Debug, Refusal)]
pub enum AskRefusal {
    /// Everything in [`UpstreamFault`].
    #[refusal(transparent)]
    Upstream(UpstreamFault),
}

/// Asks another service.
#[operation(GET "/v1/test/upstream", public)]
async fn asks_upstream(context: Context, state: State<super::State>) -> Result<NoContent, AskRefusal> {
    state
        .partner
        .call::<serde_json::Value>(&context, &Call::get("/"))
        .await?;
    Ok(NoContent)
}

/// Takes longer than any deadline.
#[operation(GET "/v1/test/endless", public)]
async fn never_ends(_: Context) -> Result<NoContent, Infallible> {
    std::future::pending().await
}

/// How long it takes.
#[derive(serde::Deserialize, validator::Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Sleep {
    millis: Option<u64>,
}

/// Takes 300 ms, or as long as is wanted.
#[operation(GET "/v1/test/slow", public)]
async fn sleeps(sleep: Query<Sleep>) -> Result<Json<u64>, Infallible> {
    let millis = sleep.0.millis.unwrap_or(300);
    let _ = tokio::time::timeout(Duration::from_millis(millis), GATE.acquire()).await;
    Ok(Json(millis))
}

struct Csv;

impl MediaType for Csv {
    const NAME: &'static str = "text/csv";
}

/// Counts from one number to another, a line each.
#[operation(GET "/v1/test/numbers/{from}/{to}", public)]
async fn counts(range: Path<(u32, u32)>) -> Result<Content<Csv>, Infallible> {
    let lines = (range.0.0..=range.0.1).map(|number| Ok::<_, Infallible>(Bytes::from(format!("{number}\n"))));
    Ok(Content::stream(stream::iter(lines)))
}

//! The routes of the notes service, with further operations for tests: a bug, slow work, a call of an upstream service.

use std::{
    convert::Infallible,
    sync::{Condvar, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use actix_web::{
    HttpResponse,
    web::{self, Bytes},
};
use futures_util::stream;
use http_server::{
    Content, Json, MediaType, NoContent, Operations, Refusal,
    extract::{Caller, Context, Path, Query, State},
    operation,
};
use tokio::sync::Semaphore;
use upstream::{Call, UpstreamError};

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
        .register::<blocks>()
        .register::<never_ends_for_caller>()
        .register::<calls_upstream>()
        .register::<echoes>()
        .register::<counts>()
        .register::<write_note>()
        .register::<read_note>()
        .register::<copy_note>()
        .register::<list_notes>()
        .register::<remove_note>()
        .raw(|service| {
            service.route("/v1/test/without-problem", web::get().to(fails));
        });
}

/// Panics.
#[operation(GET "/v1/test/panic", public)]
async fn panics() -> Result<NoContent, Infallible> {
    panic!("provoked-panic-marker")
}

/// Returns an error status without a problem, as the framework itself might.
async fn fails() -> HttpResponse {
    HttpResponse::BadGateway().body("select secrets from sqlx")
}

/// A query with a validated parameter.
#[derive(serde::Deserialize, validator::Validate, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Limit {
    #[validate(range(min = 1, message = "must be at least 1"))]
    limit: i64,
}

/// Returns a validated query parameter.
#[operation(GET "/v1/test/echo", public)]
async fn echoes(limit: Query<Limit>) -> Result<Json<i64>, Infallible> {
    Ok(Json(limit.0.limit))
}

/// Refusals of `GET /v1/test/upstream`.
#[derive(Debug, Refusal)]
pub(super) enum CallRefusal {
    /// Any [`UpstreamError`].
    #[refusal(transparent)]
    Upstream(UpstreamError),
}

/// Calls the upstream service.
#[operation(GET "/v1/test/upstream", public)]
async fn calls_upstream(context: Context, state: State<super::State>) -> Result<NoContent, CallRefusal> {
    state
        .partner
        .call::<serde_json::Value>(&context, &Call::get::<&str>([]))
        .await?;
    Ok(NoContent)
}

/// Never responds.
#[operation(GET "/v1/test/endless", public)]
async fn never_ends(_: Context) -> Result<NoContent, Infallible> {
    std::future::pending().await
}

static BLOCKED: Mutex<bool> = Mutex::new(true);
static UNBLOCKED: Condvar = Condvar::new();

/// Lets `GET /v1/test/blocking` respond.
pub fn unblock() {
    *BLOCKED.lock().unwrap_or_else(PoisonError::into_inner) = false;
    UNBLOCKED.notify_all();
}

/// Blocks the thread that serves it until [`unblock`] is called, as a lock held too long would.
#[operation(GET "/v1/test/blocking", public)]
async fn blocks(_: Context) -> Result<NoContent, Infallible> {
    let blocked = BLOCKED.lock().unwrap_or_else(PoisonError::into_inner);
    drop(UNBLOCKED.wait_while(blocked, |blocked| *blocked));
    Ok(NoContent)
}

/// Never responds to a caller.
#[operation(GET "/v1/test/guarded", authenticated)]
async fn never_ends_for_caller(_: Caller) -> Result<NoContent, Infallible> {
    std::future::pending().await
}

/// A query with the time to sleep, in milliseconds.
#[derive(serde::Deserialize, validator::Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Sleep {
    millis: Option<u64>,
}

/// Responds after `millis` milliseconds, 300 by default.
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

/// Streams the numbers of a range, one per line.
#[operation(GET "/v1/test/numbers/{from}/{to}", public)]
async fn counts(range: Path<(u32, u32)>) -> Result<Content<Csv>, Infallible> {
    let lines = (range.0.0..=range.0.1).map(|number| Ok::<_, Infallible>(Bytes::from(format!("{number}\n"))));
    Ok(Content::stream(stream::iter(lines)))
}

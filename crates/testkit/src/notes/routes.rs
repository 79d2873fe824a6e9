//! Operations that exist only in tests: a bug, and work that takes as long as the test wants.

use std::{sync::LazyLock, time::Duration};

use actix_web::{HttpResponse, get};
use http_server::extract::{Context, Query, State};
use tokio::sync::Semaphore;
use upstream::{Call, UpstreamFault};
use utoipa_actix_web::service_config::ServiceConfig;

use super::operations;

static GATE: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(0));

pub(super) fn configure(service: &mut ServiceConfig) {
    service
        .service(panics)
        .service(fails)
        .service(sleeps)
        .service(never_ends)
        .service(asks_upstream)
        .service(echoes)
        .service(operations::write_note)
        .service(operations::read_note)
        .service(operations::list_notes)
        .service(operations::remove_note);
}

/// A bug.
#[utoipa::path(responses((status = 200)))]
#[get("/v1/test/panic")]
async fn panics() -> HttpResponse {
    panic!("provoked-panic-marker")
}

/// An error status without a problem: a handler that forgot the doctrine.
#[utoipa::path(responses((status = 200)))]
#[get("/v1/test/undesigned")]
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
#[utoipa::path(params(Limit), responses((status = 200)))]
#[get("/v1/test/echo")]
async fn echoes(limit: Query<Limit>) -> HttpResponse {
    HttpResponse::Ok().json(limit.0.limit)
}

http_server::refusal! {
    /// How asking another service can be refused.
    pub enum AskRefusal {
        ..Upstream(UpstreamFault);
    }
}

/// Asks another service.
#[utoipa::path(responses((status = 200), AskRefusal))]
#[get("/v1/test/upstream")]
async fn asks_upstream(context: Context, state: State<super::State>) -> Result<HttpResponse, AskRefusal> {
    state
        .partner
        .call::<serde_json::Value>(&context, &Call::get("/"))
        .await?;
    Ok(HttpResponse::Ok().finish())
}

/// Takes longer than any deadline.
#[utoipa::path(responses((status = 200)))]
#[get("/v1/test/endless")]
async fn never_ends(_: Context) -> HttpResponse {
    std::future::pending().await
}

/// How long it takes.
#[derive(serde::Deserialize, validator::Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Sleep {
    millis: Option<u64>,
}

/// Takes 300 ms, or as long as is wanted.
#[utoipa::path(params(Sleep), responses((status = 200)))]
#[get("/v1/test/slow")]
async fn sleeps(_: Context, sleep: Query<Sleep>) -> HttpResponse {
    let time = Duration::from_millis(sleep.0.millis.unwrap_or(300));
    let _ = tokio::time::timeout(time, GATE.acquire()).await;
    HttpResponse::Ok().finish()
}

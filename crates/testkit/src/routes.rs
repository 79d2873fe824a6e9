//! Operations that exist only in tests: a bug, and work that takes as long as the test wants.

use std::{sync::LazyLock, time::Duration};

use actix_web::{HttpResponse, get};
use platform::context::RequestContext;
use tokio::sync::Semaphore;
use utoipa_actix_web::service_config::ServiceConfig;

static GATE: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(0));

pub(crate) fn configure(service: &mut ServiceConfig) {
    (api::service::SERVICE.configure)(service);
    service.service(panics).service(fails).service(sleeps);
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

/// Takes 300 ms.
#[utoipa::path(responses((status = 200)))]
#[get("/v1/test/slow")]
async fn sleeps(_: RequestContext) -> HttpResponse {
    let _ = tokio::time::timeout(Duration::from_millis(300), GATE.acquire()).await;
    HttpResponse::Ok().finish()
}

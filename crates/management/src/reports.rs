//! `/metrics`, `/dependencies` and `/status`.

use actix_web::{HttpResponse, get, web::Data};
use futures_util::future::join_all;
use serde_json::{Map, json};
use telemetry::metrics::OPEN_METRICS;

use crate::{Dependency, Management};

/// What Prometheus scrapes.
#[get("/metrics")]
pub(crate) async fn metrics(management: Data<Management>) -> HttpResponse {
    (management.before_scrape)();
    HttpResponse::Ok()
        .content_type(OPEN_METRICS)
        .body(management.metrics.encode())
}

/// What this service needs, asked now. Other services are not asked: their breakers tell what the calls found.
#[get("/dependencies")]
pub(crate) async fn dependencies(management: Data<Management>) -> HttpResponse {
    let shown = join_all(management.dependencies.iter().map(Dependency::shown)).await;
    HttpResponse::Ok().json(shown.into_iter().collect::<Map<_, _>>())
}

/// Where this process is on its way.
#[get("/status")]
pub(crate) async fn status(management: Data<Management>) -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "service": management.info.service,
        "version": management.info.version,
        "phase": format!("{:?}", management.lifecycle.phase()).to_lowercase(),
        "started": management.lifecycle.is_started(),
        "in_flight": management.in_flight.in_flight(),
    }))
}

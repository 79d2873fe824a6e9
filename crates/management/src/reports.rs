//! `/metrics`, `/dependencies`, `/status` and `/problems`.

use actix_web::{HttpResponse, get, web::Data};
use futures_util::future::join_all;
use serde_json::{Map, json};
use telemetry::metrics::OPEN_METRICS;

use crate::{Dependency, Management};

/// Returns all metrics in the `OpenMetrics` format, for Prometheus.
#[get("/metrics")]
pub(crate) async fn metrics(management: Data<Management>) -> HttpResponse {
    (management.before_scrape)();
    HttpResponse::Ok()
        .content_type(OPEN_METRICS)
        .body(management.metrics.encode())
}

/// Returns the state of the dependencies. Postgres and Redis are checked now; other services are not called, and the
/// state of their circuit breakers reflects the latest calls.
#[get("/dependencies")]
pub(crate) async fn dependencies(management: Data<Management>) -> HttpResponse {
    let reports = join_all(management.dependencies.iter().map(Dependency::report)).await;
    HttpResponse::Ok().json(reports.into_iter().collect::<Map<_, _>>())
}

/// Returns the phase of this process and its requests in flight.
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

/// Returns the problem types with their hints for operators.
#[get("/problems")]
pub(crate) async fn problems(management: Data<Management>) -> HttpResponse {
    let rows = management.catalogue.iter().map(|row| {
        let mut row_with_hint = json!(row);
        row_with_hint["operator_hint"] = json!(row.operator_hint);
        row_with_hint
    });
    HttpResponse::Ok().json(rows.collect::<Vec<_>>())
}

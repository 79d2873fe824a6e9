//! The management port: probes, metrics, dependencies. Never public, never limited.

use std::{sync::atomic::Ordering, time::Duration};

use actix_web::{
    HttpResponse, get,
    web::{Data, ServiceConfig},
};
use serde_json::json;

use super::drill;
use crate::{
    Platform, config::Requirement, drill::FaultKind, lifecycle::Phase, telemetry::metrics::OPEN_METRICS,
};

/// A probe's patience with a dependency; probes themselves time out after a second by default.
const CHECK_LIMIT: Duration = Duration::from_millis(800);

pub(super) fn configure(service: &mut ServiceConfig) {
    service
        .service(livez)
        .service(readyz)
        .service(startupz)
        .service(metrics)
        .service(dependencies)
        .service(status)
        .service(drill::shown)
        .service(drill::switched_on)
        .service(drill::switched_off);
}

/// The event loop turns; nothing else.
#[get("/livez")]
async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "live" }))
}

/// Configuration valid, database reached, schema new enough.
#[get("/startupz")]
async fn startupz(platform: Data<Platform>) -> HttpResponse {
    probe(if platform.lifecycle.is_started() {
        Ok(())
    } else {
        Err("starting")
    })
}

/// Started, not leaving, and whatever `readiness.require` adds.
#[get("/readyz")]
async fn readyz(platform: Data<Platform>) -> HttpResponse {
    probe(readiness(&platform).await)
}

async fn readiness(platform: &Platform) -> Result<(), &'static str> {
    if platform.lifecycle.phase() > Phase::Serving {
        return Err("leaving");
    }
    if !platform.lifecycle.is_started() {
        return Err("starting");
    }
    if platform.drill.is(FaultKind::NotReady) {
        return Err("a drill");
    }
    let working = platform.working.get();
    if working.is_some_and(|working| !working.load(Ordering::Acquire)) {
        return Err("the worker does not work");
    }
    for requirement in &platform.settings.readiness.require {
        match requirement {
            Requirement::Postgres if platform.checks.ping(CHECK_LIMIT).await.is_err() => {
                return Err("postgres is away");
            }
            Requirement::Redis if !platform.redis.ping().await => return Err("redis is away"),
            _ => {}
        }
    }
    Ok(())
}

fn probe(result: Result<(), &'static str>) -> HttpResponse {
    match result {
        Ok(()) => HttpResponse::Ok().json(json!({ "status": "ok" })),
        Err(reason) => {
            HttpResponse::ServiceUnavailable().json(json!({ "status": "unavailable", "reason": reason }))
        }
    }
}

/// What Prometheus scrapes.
#[get("/metrics")]
async fn metrics(platform: Data<Platform>) -> HttpResponse {
    platform.update_metrics();
    HttpResponse::Ok()
        .content_type(OPEN_METRICS)
        .body(platform.metrics.encode())
}

/// What this service needs, asked now.
#[get("/dependencies")]
async fn dependencies(platform: Data<Platform>) -> HttpResponse {
    let (postgres, redis) = tokio::join!(platform.checks.ping(CHECK_LIMIT), platform.redis.ping());
    let word = |reached| if reached { "reached" } else { "away" };
    let mut told = json!({
        "postgres": { "required": true, "state": word(postgres.is_ok()) },
        "redis": { "required": false, "state": word(redis), "breaker": format!("{:?}", platform.redis.breaker()) },
    });
    // Other services are not asked for this: their breakers tell what the calls found.
    for upstream in platform.upstreams() {
        told[upstream.name()] = json!({ "required": false, "breaker": format!("{:?}", upstream.breaker()) });
    }
    HttpResponse::Ok().json(told)
}

/// Where this process is on its way.
#[get("/status")]
async fn status(platform: Data<Platform>) -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "service": platform.settings.service.name,
        "version": platform.version,
        "phase": format!("{:?}", platform.lifecycle.phase()).to_lowercase(),
        "started": platform.lifecycle.is_started(),
        "in_flight": platform.in_flight.in_flight(),
    }))
}

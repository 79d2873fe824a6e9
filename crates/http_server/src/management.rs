//! The management port: probes, metrics, dependencies. Never public, never limited.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use actix_web::{
    HttpResponse, get,
    web::{Data, ServiceConfig},
};
use futures_util::future::{BoxFuture, join_all};
use resilience::{BreakerState, ConcurrencyLimit};
use runtime::{Lifecycle, Phase};
use serde_json::{Map, Value, json};
use telemetry::metrics::{Metrics, OPEN_METRICS};

use crate::{
    Info, Requirement,
    drill::{self, Drill, FaultKind},
};

type Ping = Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;
type Breaker = Box<dyn Fn() -> BreakerState + Send + Sync>;

/// Something that the service needs, as `/dependencies` shows it and `/readyz` may ask for it.
pub struct Dependency {
    /// Its name, as in metrics.
    pub name: &'static str,
    /// Whether requests fail without it.
    pub required: bool,
    /// Whether it answers; none where only its breaker is known.
    pub ping: Option<Ping>,
    /// The state of its breaker.
    pub breaker: Option<Breaker>,
}

impl Dependency {
    async fn shown(&self) -> (String, Value) {
        let mut shown = json!({ "required": self.required });
        if let Some(ping) = &self.ping {
            shown["state"] = json!(if ping().await { "reached" } else { "away" });
        }
        if let Some(breaker) = &self.breaker {
            shown["breaker"] = json!(format!("{:?}", breaker()));
        }
        (self.name.to_owned(), shown)
    }

    async fn answers(&self) -> bool {
        match &self.ping {
            Some(ping) => ping().await,
            None => true,
        }
    }
}

/// What the management port shows and switches.
pub struct Management {
    /// What runs.
    pub info: Info,
    /// The phases of this process.
    pub lifecycle: Lifecycle,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// Brings gauges up to date before a scrape.
    pub before_scrape: Box<dyn Fn() + Send + Sync>,
    /// What the service needs.
    pub dependencies: Vec<Dependency>,
    /// What readiness depends on besides this process.
    pub require: Vec<Requirement>,
    /// Whether the worker of this process works, where it has one.
    pub working: Option<Arc<AtomicBool>>,
    /// Requests in flight.
    pub in_flight: ConcurrencyLimit,
    /// The fault of a drill.
    pub drill: Drill,
    /// Whether a fault may be switched on.
    pub faults_enabled: bool,
}

impl fmt::Debug for Management {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Management").finish_non_exhaustive()
    }
}

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
async fn startupz(management: Data<Management>) -> HttpResponse {
    probe(if management.lifecycle.is_started() {
        Ok(())
    } else {
        Err("starting".to_owned())
    })
}

/// Started, not leaving, and whatever `readiness.require` adds.
#[get("/readyz")]
async fn readyz(management: Data<Management>) -> HttpResponse {
    probe(readiness(&management).await)
}

async fn readiness(management: &Management) -> Result<(), String> {
    let working = |working: &Arc<AtomicBool>| working.load(Ordering::Acquire);
    let reasons = [
        (management.lifecycle.phase() > Phase::Serving, "leaving"),
        (!management.lifecycle.is_started(), "starting"),
        (management.drill.is(FaultKind::NotReady), "a drill"),
        (
            !management.working.as_ref().is_none_or(working),
            "the worker does not work",
        ),
    ];
    if let Some((_, reason)) = reasons.iter().find(|(holds, _)| *holds) {
        return Err((*reason).to_owned());
    }
    for requirement in &management.require {
        let name = requirement.as_str();
        let mut named = management.dependencies.iter();
        if let Some(dependency) = named.find(|dependency| dependency.name == name)
            && !dependency.answers().await
        {
            return Err(format!("{name} is unavailable"));
        }
    }
    Ok(())
}

fn probe(result: Result<(), String>) -> HttpResponse {
    match result {
        Ok(()) => HttpResponse::Ok().json(json!({ "status": "ok" })),
        Err(reason) => {
            HttpResponse::ServiceUnavailable().json(json!({ "status": "unavailable", "reason": reason }))
        }
    }
}

/// What Prometheus scrapes.
#[get("/metrics")]
async fn metrics(management: Data<Management>) -> HttpResponse {
    (management.before_scrape)();
    HttpResponse::Ok()
        .content_type(OPEN_METRICS)
        .body(management.metrics.encode())
}

/// What this service needs, asked now. Other services are not asked: their breakers tell what the calls found.
#[get("/dependencies")]
async fn dependencies(management: Data<Management>) -> HttpResponse {
    let shown = join_all(management.dependencies.iter().map(Dependency::shown)).await;
    HttpResponse::Ok().json(shown.into_iter().collect::<Map<_, _>>())
}

/// Where this process is on its way.
#[get("/status")]
async fn status(management: Data<Management>) -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "service": management.info.service,
        "version": management.info.version,
        "phase": format!("{:?}", management.lifecycle.phase()).to_lowercase(),
        "started": management.lifecycle.is_started(),
        "in_flight": management.in_flight.in_flight(),
    }))
}

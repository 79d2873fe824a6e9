//! `/livez`, `/startupz` and `/readyz`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_web::{HttpResponse, get, web::Data};
use http_server::fault_injection::FaultKind;
use runtime::Phase;
use serde_json::json;

use crate::Management;

/// The time without progress of a serving thread after which this process must be restarted. Its requests hang, and
/// their deadlines do too, because their timers run on the same thread.
const STALLED: Duration = Duration::from_secs(10);

/// The time without progress of a serving thread after which this process gets no more requests.
const STALLING: Duration = Duration::from_secs(5);

/// Succeeds while every thread that serves makes progress; checks nothing else.
#[get("/livez")]
pub(crate) async fn livez(management: Data<Management>) -> HttpResponse {
    probe(if management.heartbeats.stalled_for() < STALLED {
        Ok(())
    } else {
        Err("thread_stalled".to_owned())
    })
}

/// Succeeds once the configuration is valid, the database has been reached and its schema is new enough.
#[get("/startupz")]
pub(crate) async fn startupz(management: Data<Management>) -> HttpResponse {
    probe(if management.lifecycle.is_started() {
        Ok(())
    } else {
        Err("starting".to_owned())
    })
}

/// Succeeds between start-up and shutdown while the worker, if there is one, and the dependencies in
/// `readiness.require` are available.
#[get("/readyz")]
pub(crate) async fn readyz(management: Data<Management>) -> HttpResponse {
    probe(readiness(&management).await)
}

async fn readiness(management: &Management) -> Result<(), String> {
    let is_set = |flag: &Arc<AtomicBool>| flag.load(Ordering::Acquire);
    let reasons = [
        (management.lifecycle.phase() > Phase::Serving, "terminating"),
        (!management.lifecycle.is_started(), "starting"),
        (management.heartbeats.stalled_for() >= STALLING, "thread_stalled"),
        (
            management.fault_injection.is(FaultKind::NotReady),
            "fault_injected",
        ),
        (
            !management.working.as_ref().is_none_or(is_set),
            "worker_unhealthy",
        ),
    ];
    if let Some((_, reason)) = reasons.iter().find(|(applies, _)| *applies) {
        return Err((*reason).to_owned());
    }
    for requirement in &management.require {
        let name = requirement.as_str();
        let mut dependencies = management.dependencies.iter();
        if let Some(dependency) = dependencies.find(|dependency| dependency.name == name)
            && !dependency.is_up().await
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

//! `/livez`, `/startupz` and `/readyz`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use actix_web::{HttpResponse, get, web::Data};
use http_server::drill::FaultKind;
use runtime::Phase;
use serde_json::json;

use crate::Management;

/// The event loop turns; nothing else.
#[get("/livez")]
pub(crate) async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "live" }))
}

/// Configuration valid, database reached, schema new enough.
#[get("/startupz")]
pub(crate) async fn startupz(management: Data<Management>) -> HttpResponse {
    probe(if management.lifecycle.is_started() {
        Ok(())
    } else {
        Err("starting".to_owned())
    })
}

/// Started, not leaving, and whatever `readiness.require` adds.
#[get("/readyz")]
pub(crate) async fn readyz(management: Data<Management>) -> HttpResponse {
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

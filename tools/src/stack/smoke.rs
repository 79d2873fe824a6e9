//! Checks that the stack is up, and that it gives each kind of response.

#![expect(
    clippy::disallowed_methods,
    reason = "a tool has no shutdown to wait in, and calls what it started"
)]

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::json;

use super::{
    Failure,
    compose::{address, caller_of},
    load::Caller,
    watch::{link, spans, until},
};

const TRACE_WITHIN: Duration = Duration::from_mins(1);

/// Sends a request in a new trace; returns the status and the trace id.
async fn send(request: RequestBuilder) -> Result<(u16, String), Failure> {
    let (trace_id, traceparent) = testkit::new_trace(true);
    let response = request.header("traceparent", traceparent).send().await?;
    Ok((response.status().as_u16(), trace_id))
}

/// Waits for the first trace in Jaeger, then prints the address of each service.
pub(super) async fn ready() -> Result<(), Failure> {
    if address("jaeger", 16686).is_err() {
        println!("Jaeger is left out; not waiting for a trace\n");
        return addresses();
    }
    let (status, trace_id) = send(caller_of("ready")?.order()).await?;
    if status != 201 {
        return Err(format!("placing an order returned {status}; see `docker compose logs api`").into());
    }
    let arrived = async || Ok(!spans(&trace_id).await?.is_empty());
    let Some(took) = until(true, TRACE_WITHIN, arrived).await? else {
        return Err(format!("the order's trace {trace_id} is not in Jaeger after {TRACE_WITHIN:?}").into());
    };
    println!(
        "the first trace was in Jaeger after {:.1} s: {}\n",
        took.as_secs_f64(),
        link(&trace_id)?
    );
    addresses()
}

fn addresses() -> Result<(), Failure> {
    for (name, service, port, path) in [
        ("API", "api", 8080, "/docs"),
        ("Management", "api", 8081, "/status"),
        ("Supplier's faults", "supplier", 8091, "/faults"),
        ("Jaeger", "jaeger", 16686, ""),
        ("Prometheus", "prometheus", 9090, "/alerts"),
        ("Alertmanager", "alertmanager", 9093, ""),
        ("Grafana", "grafana", 3000, "/dashboards"),
    ] {
        match address(service, port) {
            Ok(address) => println!("  {name:<20} {address}{path}"),
            Err(_) => println!("  {name:<20} left out"),
        }
    }
    Ok(())
}

/// Provokes one response of each kind, and prints its trace.
pub(super) async fn smoke() -> Result<(), Failure> {
    let caller = caller_of(&format!("smoke-{}", uuid::Uuid::new_v4().simple()))?;
    let faults = format!("{}/faults/quotes", address("supplier", 8091)?);
    let placed = caller.order().send().await?.error_for_status()?;
    let cancelled = placed.headers()["location"].to_str()?.to_owned();
    caller.request(Method::DELETE, &cancelled).send().await?;

    let get = |path: &str| caller.request(Method::GET, path);
    let invalid = caller
        .request(Method::POST, "/v1/orders")
        .header("idempotency-key", "smoke")
        .json(&json!({}));
    let mut wrong = Vec::new();
    let mut show = async |expected: u16, what: &str, request: RequestBuilder| -> Result<(), Failure> {
        let (status, trace_id) = send(request).await?;
        if status != expected {
            wrong.push(format!("{what}: {status} instead of {expected}"));
        }
        println!("{status}  {what:<44} {}", link(&trace_id)?);
        Ok(())
    };
    show(201, "an order is placed", caller.order()).await?;
    show(400, "an invalid order", invalid).await?;
    show(
        404,
        "an order that does not exist",
        get("/v1/orders/01981f6e-7c1a-7a3e-9d55-3a0a2b6f6c10"),
    )
    .await?;
    show(410, "an order that was cancelled", get(&cancelled)).await?;
    show(422, "a quote that the supplier refuses", caller.quote("NONE-1")).await?;
    println!(
        "429  {:<44} {}",
        "more requests than the quota allows",
        link(&over_the_quota(&caller).await?)?
    );

    let caller = caller_of(&format!("smoke-{}", uuid::Uuid::new_v4().simple()))?;
    let fault = json!({ "kind": "status", "status": 500 });
    Client::new()
        .put(&faults)
        .json(&fault)
        .send()
        .await?
        .error_for_status()?;
    let failing = async {
        show(502, "the supplier fails", caller.quote("ABC-1234")).await?;
        let open = async || Ok(caller.quote("ABC-1234").send().await?.status() == 503);
        until(true, Duration::from_secs(20), open).await?;
        show(503, "the circuit breaker is open", caller.quote("ABC-1234")).await
    };
    // Whatever the result, the fault is removed.
    let result = failing.await;
    Client::new().delete(&faults).send().await?.error_for_status()?;
    result?;
    let closed = async || Ok(caller.quote("ABC-1234").send().await?.status() == 200);
    until(true, Duration::from_secs(30), closed).await?;
    show(200, "the supplier has recovered", caller.quote("ABC-1234")).await?;
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("; ").into())
    }
}

/// Sends more concurrent requests than the quota of one subject allows; returns the trace id of a refused one.
async fn over_the_quota(caller: &Caller) -> Result<String, Failure> {
    for _ in 0..5 {
        let requests = (0..300).map(|_| send(caller.request(Method::GET, "/v1/orders?limit=1")));
        for response in futures_util::future::join_all(requests).await {
            if let (429, trace_id) = response? {
                return Ok(trace_id);
            }
        }
    }
    Err("none of 1500 requests got 429; is the quota disabled?".into())
}

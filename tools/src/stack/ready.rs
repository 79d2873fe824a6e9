//! Checks that the stack is up, and prints its addresses.

use std::time::Duration;

use testkit::Known;

use super::{
    Failure,
    compose::{address, caller_of},
    watch::{link, spans, until},
};
use crate::load::Outcome;

const TRACE_WITHIN: Duration = Duration::from_mins(1);

/// Waits for the first trace in Jaeger, then prints the address of each service.
pub(super) async fn ready() -> Result<(), Failure> {
    if address("jaeger", 16686).is_err() {
        println!("Jaeger is left out; not waiting for a trace\n");
        return addresses();
    }
    let caller = caller_of("ready").await?;
    let flow = caller.flows().iter().find_map(|flow| flow.steps.first());
    let first = flow.map_or("info", String::as_str);
    let operation = caller
        .contract()
        .find(first)
        .ok_or("the contract has no operation")?;
    let (trace_id, traceparent) = testkit::new_trace(true);
    let trace = Some((trace_id.clone(), traceparent));
    let outcome = caller.call(operation, &mut Known::default(), trace).await;
    if !outcome.as_ref().is_some_and(Outcome::is_ok) {
        let result = outcome.map_or_else(|| "no id".to_owned(), |outcome| outcome.result);
        return Err(format!("{} got {result}; see `docker compose logs api`", operation.name).into());
    }
    let arrived = async || Ok(!spans(&trace_id).await?.is_empty());
    let Some(took) = until(true, TRACE_WITHIN, arrived).await? else {
        return Err(format!("the trace {trace_id} is not in Jaeger after {TRACE_WITHIN:?}").into());
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
        ("Supplier's faults", "supplier", 8091, "/faults"), // sample
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

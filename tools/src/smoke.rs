//! `tools smoke`: sends the example of every operation, and the requests that each service refuses.

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use testkit::{Known, Operation};

use crate::{
    Failure,
    load::{Caller, response},
    target::Target,
};

/// The options of `tools smoke`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
}

/// Sends every request and prints its result and trace. An error lists the unexpected results.
pub(crate) async fn run(args: &Args) -> Result<(), Failure> {
    let subject = format!("smoke-{}", uuid::Uuid::new_v4().simple());
    let caller = args.target.caller(&subject).await?;
    let mut wrong = Vec::new();
    let mut show = |what: &str, expected: &str, (result, trace_id): (String, String)| {
        println!("{result:<26} {what:<44} {}", args.target.trace(&trace_id));
        if result != expected {
            wrong.push(format!("{what}: {result} instead of {expected}"));
        }
    };
    for operation in caller.contract().operations() {
        match example(&caller, operation).await {
            Some(result) => {
                let successes = operation.successes.iter().map(u16::to_string).collect::<Vec<_>>();
                let expected = successes
                    .iter()
                    .find(|status| **status == result.0)
                    .or(successes.first());
                show(
                    &operation.name,
                    expected.map_or("a success", String::as_str),
                    result,
                );
            }
            None => println!(
                "{:<26} {} (no response contains its ids)",
                "not called", operation.name
            ),
        }
    }
    let operations = || caller.contract().operations().iter();
    let client = caller.client();
    if let Some(operation) = operations().find(|operation| operation.needs_token) {
        let result = send(operation.with_placeholders(client, caller.base())).await;
        show("a request without a token", "401 unauthenticated", result);
    }
    let has_only_a_body =
        |operation: &&Operation| operation.body.is_some() && !operation.template.contains('{');
    if let Some(operation) = operations().find(has_only_a_body) {
        let request = operation.with_placeholders(client, caller.base());
        let result = send(caller.authenticated(request).json(&json!("not an object"))).await;
        show("a body of the wrong type", "400 invalid-request", result);
    }
    let nowhere = client.request(Method::GET, format!("{}/nowhere", caller.base()));
    show(
        "a path without an operation",
        "404 route-not-found",
        send(nowhere).await,
    );
    if args.target.is_the_stack() {
        let result = over_the_quota(&caller).await;
        show(
            "more requests than the quota allows",
            "429 quota-exceeded",
            result,
        );
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n       ").into())
    }
}

/// Calls the operation after those that return its ids, in a sampled trace; the result is that of the first step that
/// fails. `None` if no operation returns its ids.
async fn example(caller: &Caller, operation: &Operation) -> Option<(String, String)> {
    let mut known = Known::default();
    let mut last = None;
    for step in caller.contract().path_to(operation) {
        let (trace_id, traceparent) = testkit::new_trace(true);
        let outcome = caller
            .call(step, &mut known, Some((trace_id.clone(), traceparent)))
            .await?;
        if !outcome.is_ok() && step.id != operation.id {
            return Some((format!("{} of {}", outcome.result, step.name), trace_id));
        }
        last = Some((outcome.result, trace_id));
    }
    last
}

/// Sends a request in a sampled trace; returns the status with the problem code, and the trace id.
async fn send(request: RequestBuilder) -> (String, String) {
    let (trace_id, traceparent) = testkit::new_trace(true);
    let result = match response(request.header("traceparent", traceparent)).await {
        Ok((status, body)) => match body["code"].as_str() {
            Some(code) => format!("{status} {code}"),
            None => status.to_string(),
        },
        Err(_) => "lost".to_owned(),
    };
    (result, trace_id)
}

/// Sends more concurrent requests than the quota of one subject allows; returns the first that was refused.
async fn over_the_quota(caller: &Caller) -> (String, String) {
    let mut last = (String::new(), String::new());
    for _ in 0..5 {
        let requests = (0..300).map(|_| {
            let request = caller.client().get(format!("{}/info", caller.base()));
            send(caller.authenticated(request))
        });
        for result in futures_util::future::join_all(requests).await {
            last = result;
            if last.0.starts_with("429") {
                return last;
            }
        }
    }
    last
}

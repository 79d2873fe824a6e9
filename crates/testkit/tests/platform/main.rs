//! Tests of the platform's guarantees against the notes service: over HTTP, with real Postgres and Redis.

#![expect(
    clippy::disallowed_methods,
    reason = "a test ends with its tasks and connects to itself"
)]

mod bodies;
mod catalogue;
mod commits;
mod connections;
mod contract;
mod cors;
mod drain;
mod fault_injection;
mod headers;
mod idempotency;
mod identity_provider;
mod job_pauses;
mod job_queue;
mod job_schedules;
mod job_suspects;
mod jobs;
mod logs;
mod metrics;
mod migrations;
mod minimal_service;
mod must_not_compile;
mod overload;
mod pages;
mod panics;
mod postgres_faults;
mod probes;
mod quotas;
mod redis_faults;
mod replicas;
mod request_lifecycle;
mod texts;
mod tls;
mod tokens;
mod traces;
mod upstream_services;
mod workers;

use reqwest::{Method, Response, header::HeaderMap};
use serde_json::Value;
use testkit::notes::{CATALOGUE, Notes};

type TestApp = testkit::TestApp<Notes>;
type TestAppBuilder = testkit::TestAppBuilder<Notes>;

async fn assert_problem(response: Response, template: &str, method: Method, code: &str) -> Value {
    testkit::assert_problem::<Notes>(response, template, method, code).await
}

fn assert_problem_parts(status: u16, headers: &HeaderMap, body: &str, code: &str) -> Value {
    testkit::assert_problem_parts(CATALOGUE, (status, headers, body), code)
}

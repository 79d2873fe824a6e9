//! Test support: a service in the test process on real Postgres and Redis, a database per test, a proxy that injects
//! network faults, and assertions on problems. It depends on no service except its own, [`notes`].

#![expect(
    clippy::missing_panics_doc,
    reason = "helpers of tests panic when the test cannot continue"
)]

mod app;
mod app_builder;
mod collector;
mod contract;
mod database;
mod jobs;
mod logs;
pub mod notes;
mod problem;
mod process;
mod proxy;
pub mod queries;
mod raw;
mod redis;
pub mod scrape;
mod under_test;

pub use app::TestApp;
pub use app_builder::TestAppBuilder;
pub use collector::{
    CALLER, Collector, CollectorBehavior, attribute, hex, is_error, new_trace, spans, wait_for_spans,
};
pub(crate) use contract::assert_headers;
pub use contract::{
    Contract, Criticality, Flow, Known, Operation, assert_catalogue, assert_contract, assert_examples,
    assert_flows, assert_scopes, declared_codes, document, flows,
};
pub use database::{Lock, TestDatabase};
pub use logs::{log_lines, log_lines_of};
pub use opentelemetry_proto::tonic::trace::v1::Span;
pub use problem::{assert_problem, assert_problem_parts};
pub use process::{ProcessEnvironment, Server};
pub use proxy::{Mode, Proxy, address_of};
pub use raw::{RawConnection, RawResponse, stub_server};
pub use redis::{RedisFault, redis_guard};
pub use under_test::UnderTest;

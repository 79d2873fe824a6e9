//! For tests only: a service in this process on real Postgres and Redis, a database per test, a proxy that breaks
//! connections, and assertions on problems. It knows no service but its own, the [`notes`].

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
    CALLER, Collecting, Collector, attribute, hex, is_error, new_trace, spans, wait_for_spans,
};
pub use contract::{assert_catalogue, assert_contract, assert_scopes, declared_codes};
pub use database::{Lock, TestDatabase};
pub use logs::{log_lines, log_lines_of};
pub use opentelemetry_proto::tonic::trace::v1::Span;
pub use problem::{assert_problem, assert_problem_parts};
pub use process::{Environment, Server};
pub use proxy::{Mode, Proxy};
pub use raw::{RawConnection, RawResponse, canned_server};
pub use redis::{RedisFault, redis_undisturbed};
pub use under_test::UnderTest;

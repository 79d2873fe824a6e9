//! For tests only: the app in this process on real Postgres and Redis, a database per test, a proxy that
//! breaks connections, and assertions on problems.

mod app;
mod app_builder;
mod collector;
mod database;
mod jobs;
mod logs;
mod notes;
mod problem;
mod process;
mod proxy;
mod raw;
mod redis;
mod routes;

pub use app::{NOTES, TestApp, note};
pub use app_builder::TestAppBuilder;
pub use collector::{
    CALLER, Collecting, Collector, attribute, hex, is_error, new_trace, spans, wait_for_spans,
};
pub use database::{Lock, TestDatabase};
pub use jobs::Poison;
pub use logs::{log_lines, log_lines_of};
pub use opentelemetry_proto::tonic::trace::v1::Span;
pub use problem::{assert_problem, assert_problem_parts};
pub use process::{Environment, Server};
pub use proxy::{Mode, Proxy};
pub use raw::{RawConnection, RawResponse, canned_server};
pub use redis::{RedisFault, redis_undisturbed};
pub use routes::configure;

/// The service with the routes and jobs of the tests besides its own.
pub static SERVICE: platform::Service = platform::Service {
    configure,
    more_jobs: jobs::ALL,
    ..api::service::SERVICE
};

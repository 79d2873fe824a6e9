//! For tests only: the app in this process on real Postgres and Redis, a database per test, a proxy that
//! breaks connections, and assertions on problems.

mod app;
mod database;
mod logs;
mod problem;
mod raw;
mod proxy;
mod redis;
mod routes;

pub use app::{TestApp, TestAppBuilder, order};
pub use database::TestDatabase;
pub use logs::{log_lines, log_lines_of};
pub use problem::{assert_problem, assert_problem_parts};
pub use raw::{RawConnection, RawResponse};
pub use proxy::{Mode, Proxy};
pub use redis::{RedisFault, redis_undisturbed};

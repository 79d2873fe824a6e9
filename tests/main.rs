//! Black-box tests through HTTP, on real Postgres and Redis.

mod bodies;
mod catalogue;
mod commits;
mod contract;
mod drain;
mod idempotency;
mod jobs;
mod logs;
mod metrics;
mod orders;
mod overload;
mod pages;
mod panics;
mod postgres_faults;
mod probes;
mod quotas;
mod redis_faults;
mod supplier;
mod tokens;
mod way;

/// Triggers one of the service's own problem types; tells whether any test knows it.
async fn trigger(code: &str) -> bool {
    orders::trigger(code).await || jobs::trigger(code).await || supplier::trigger(code).await
}

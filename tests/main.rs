//! Black-box tests through HTTP, on real Postgres and Redis.

mod bodies;
mod catalogue;
mod commits;
mod compat;
mod contract;
mod deliveries;
mod drain;
mod drills;
mod idempotency;
mod jobs;
mod logs;
mod metrics;
mod migrations;
mod orders;
mod overload;
mod pages;
mod panics;
mod postgres_faults;
mod probes;
mod quotas;
mod redis_faults;
mod reports;
mod soak;
mod supplier;
mod telemetry;
mod tokens;
mod traces;
mod way;

/// Triggers one of the service's own problem types; tells whether any test knows it.
async fn trigger(code: &str) -> bool {
    let mut known = jobs::trigger(code).await;
    known |= orders::trigger(code).await;
    known |= reports::trigger(code).await;
    known |= supplier::trigger(code).await;
    known
}

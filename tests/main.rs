//! Black-box tests through HTTP, on real Postgres and Redis.

mod bodies;
mod catalogue;
mod commits;
mod contract;
mod idempotency;
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
mod way;

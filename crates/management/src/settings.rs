//! The section `readiness`.

use settings::Choice;

/// A dependency that readiness can require.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Choice)]
pub enum Requirement {
    /// `/readyz` returns 503 while the database is unavailable.
    Postgres,
    /// `/readyz` returns 503 while Redis is unavailable.
    Redis,
}

/// The conditions of `/readyz` besides the state of the process.
#[derive(Clone, Debug, settings::Settings)]
pub struct ReadinessSettings {
    /// Dependencies without which `/readyz` returns 503: `postgres`, `redis`, both or none. A failure of a shared
    /// dependency makes every replica unready, and clients see connection errors instead of 503 problem responses.
    pub require: Vec<Requirement>,
}

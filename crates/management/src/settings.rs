//! The section `readiness`.

use settings::Choice;

/// Something readiness can depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Choice)]
pub enum Requirement {
    /// Not ready while the database cannot be reached.
    Postgres,
    /// Not ready while Redis cannot be reached.
    Redis,
}

/// What `/readyz` depends on besides this process.
#[derive(Clone, Debug, settings::Settings)]
pub struct ReadinessSettings {
    /// `postgres`, `redis`, both or none. A shared fault that unreadies every replica turns typed 503s into connection errors.
    pub require: Vec<Requirement>,
}

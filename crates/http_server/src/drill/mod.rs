//! The fault that makes a process sick, where `faults.enabled` allows it: the honest way to see alerts fire and a
//! release be taken back.

use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use settings::{Schema, Setting};

mod strike;

pub(crate) use strike::strike;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Handlers panic: a bug.
    Panic,
    /// Handlers answer later.
    Latency,
    /// `/readyz` says no.
    NotReady,
    /// The process aborts, at once.
    Crash,
}

/// A fault, as `PUT /faults` and `faults.start` take it: `{"kind": "panic", "route": "/v1/things/{id}", "share": 0.08}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Only here, as the contract writes it, such as `/v1/things/{id}`; everywhere without it.
    pub route: Option<String>,
    /// Of so many requests, 0 to 1.
    #[serde(default = "all")]
    pub share: f64,
    /// For `latency`: so many milliseconds later.
    #[serde(default)]
    pub ms: u64,
}

fn all() -> f64 {
    1.0
}

impl Setting for Fault {
    fn text(&self) -> String {
        serde_json::to_string(self).expect("faults serialize")
    }

    fn schema() -> Schema {
        String::schema()
    }

    fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text)
            .map_err(|error| format!("expected a fault as `PUT /faults` takes it: {error}"))
    }
}

/// The fault that is switched on, if one is. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Drill(Arc<RwLock<Option<Fault>>>);

impl Drill {
    /// Switches a fault on, in place of the one before. A crash does not come back from here.
    pub fn switch_on(&self, fault: Fault) {
        tracing::warn!(?fault, "a fault is switched on");
        if fault.kind == FaultKind::Crash {
            std::process::abort();
        }
        self.set(Some(fault));
    }

    /// Switches it off.
    pub fn switch_off(&self) {
        tracing::warn!("the fault is switched off");
        self.set(None);
    }

    fn set(&self, fault: Option<Fault>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Whether a fault of this kind is switched on.
    pub fn is(&self, kind: FaultKind) -> bool {
        self.fault().is_some_and(|fault| fault.kind == kind)
    }

    /// What is switched on.
    pub fn fault(&self) -> Option<Fault> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

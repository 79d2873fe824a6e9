//! Fault injection: makes a process fail on purpose, where `faults.enabled` allows it, to prove that alerts fire and
//! that a bad release is rolled back.

use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use settings::{Schema, Setting};

mod inject;

pub(crate) use inject::inject;

/// The kind of an injected fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Handlers panic, as with a bug.
    Panic,
    /// Handlers respond late.
    Latency,
    /// `/readyz` returns 503.
    NotReady,
    /// The process aborts immediately.
    Crash,
}

/// An injected fault, in the format of `PUT /faults` and `faults.at_startup`:
/// `{"kind": "panic", "route": "/v1/things/{id}", "share": 0.08}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InjectedFault {
    /// The kind of the fault.
    pub kind: FaultKind,
    /// The affected route, as in the `OpenAPI` document, such as `/v1/things/{id}`; all routes if absent.
    pub route: Option<String>,
    /// Fraction of requests that are affected, 0.0 to 1.0; 1.0 by default.
    #[serde(default = "all")]
    pub share: f64,
    /// Delay in milliseconds, for `latency`.
    #[serde(default)]
    pub ms: u64,
}

fn all() -> f64 {
    1.0
}

impl Setting for InjectedFault {
    fn text(&self) -> String {
        serde_json::to_string(self).expect("a fault serializes")
    }

    fn schema() -> Schema {
        String::schema()
    }

    fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text)
            .map_err(|error| format!("expected a fault in the format of `PUT /faults`: {error}"))
    }
}

/// The injected fault that is switched on, if any. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct FaultInjection(Arc<RwLock<Option<InjectedFault>>>);

impl FaultInjection {
    /// Switches a fault on in place of the previous one. [`FaultKind::Crash`] aborts the process and never returns.
    pub fn switch_on(&self, fault: InjectedFault) {
        tracing::warn!(?fault, "fault injection enabled");
        if fault.kind == FaultKind::Crash {
            std::process::abort();
        }
        self.set(Some(fault));
    }

    /// Switches the fault off.
    pub fn switch_off(&self) {
        tracing::warn!("fault injection disabled");
        self.set(None);
    }

    fn set(&self, fault: Option<InjectedFault>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Whether a fault of this kind is switched on.
    pub fn is(&self, kind: FaultKind) -> bool {
        self.fault().is_some_and(|fault| fault.kind == kind)
    }

    /// The fault that is switched on.
    pub fn fault(&self) -> Option<InjectedFault> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

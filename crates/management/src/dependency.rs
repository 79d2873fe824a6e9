//! The dependencies of the service, as the management port reports them.

use futures_util::future::BoxFuture;
use resilience::BreakerState;
use serde_json::{Value, json};

type Ping = Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;
type Breaker = Box<dyn Fn() -> BreakerState + Send + Sync>;

/// A dependency of the service, reported by `/dependencies` and, if `readiness.require` names it, checked by `/readyz`.
pub struct Dependency {
    /// The name of the dependency, as in metrics.
    pub name: &'static str,
    /// Whether requests fail without the dependency.
    pub required: bool,
    /// Checks whether the dependency is up; `None` if only its circuit breaker is known.
    pub ping: Option<Ping>,
    /// Reads the state of the circuit breaker, if there is one.
    pub breaker: Option<Breaker>,
}

impl Dependency {
    pub(crate) async fn report(&self) -> (String, Value) {
        let mut report = json!({ "required": self.required });
        if let Some(ping) = &self.ping {
            report["state"] = json!(if ping().await { "up" } else { "down" });
        }
        if let Some(breaker) = &self.breaker {
            report["breaker"] = json!(format!("{:?}", breaker()));
        }
        (self.name.to_owned(), report)
    }

    pub(crate) async fn is_up(&self) -> bool {
        match &self.ping {
            Some(ping) => ping().await,
            None => true,
        }
    }
}

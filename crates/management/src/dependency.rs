//! What the service needs, as the management port reports it.

use futures_util::future::BoxFuture;
use resilience::BreakerState;
use serde_json::{Value, json};

type Ping = Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;
type Breaker = Box<dyn Fn() -> BreakerState + Send + Sync>;

/// Something that the service needs, as `/dependencies` shows it and `/readyz` may ask for it.
pub struct Dependency {
    /// Its name, as in metrics.
    pub name: &'static str,
    /// Whether requests fail without it.
    pub required: bool,
    /// Whether it answers; none where only its breaker is known.
    pub ping: Option<Ping>,
    /// The state of its breaker.
    pub breaker: Option<Breaker>,
}

impl Dependency {
    pub(crate) async fn shown(&self) -> (String, Value) {
        let mut shown = json!({ "required": self.required });
        if let Some(ping) = &self.ping {
            shown["state"] = json!(if ping().await { "reached" } else { "away" });
        }
        if let Some(breaker) = &self.breaker {
            shown["breaker"] = json!(format!("{:?}", breaker()));
        }
        (self.name.to_owned(), shown)
    }

    pub(crate) async fn answers(&self) -> bool {
        match &self.ping {
            Some(ping) => ping().await,
            None => true,
        }
    }
}

//! Every fault that is drilled: how it is brought about, what callers may see of it, which alert tells.

use reqwest::Client;
use serde_json::json;

use super::{
    Failure,
    compose::{address, compose},
    watch::Alert,
};

/// What brings a fault about or takes it away.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// `docker compose` with these arguments.
    Compose(&'static [&'static str]),
    /// The fault switch of the supplier's quotes; nothing switches it off.
    Supplier(Option<&'static str>),
    /// The fault switch of the API; nothing switches it off.
    Api(Option<(&'static str, f64)>),
    /// A lock on the orders, held by a session that ends with the fault.
    LockOrders(bool),
}

/// A fault and what must be seen of it.
#[derive(Debug)]
pub struct Drill {
    /// As `make drill FAULT=` takes it.
    pub name: &'static str,
    /// Brings it about.
    pub inject: Step,
    /// Takes it away.
    pub remove: Step,
    /// What callers must see, as `operation: result`; none where they must not notice.
    pub expected: &'static [(&'static str, &'static str)],
    /// What they may see besides; anything else that is not a success fails the drill.
    pub allowed: &'static [&'static str],
    /// What must fire, reach Alertmanager, and resolve.
    pub alert: Alert,
}

const ORDERS: &str = "POST /v1/orders";
const LIST: &str = "GET /v1/orders";
const QUOTES: &str = "POST /v1/quotes";
const TAG: &str = "drill";

const fn alert(name: &'static str, label: (&'static str, &'static str)) -> Alert {
    Alert { name, label }
}

/// Every drill there is.
pub const ALL: &[Drill] = &[
    Drill {
        name: "postgres-down",
        inject: Step::Compose(&["kill", "postgres"]),
        remove: Step::Compose(&["start", "postgres"]),
        expected: &[
            (ORDERS, "503 dependency-unavailable"),
            (LIST, "503 dependency-unavailable"),
        ],
        allowed: &["503 overloaded", "504 deadline-exceeded"],
        alert: alert("PostgresUnreachable", ("", "")),
    },
    Drill {
        name: "postgres-slow",
        inject: Step::LockOrders(true),
        remove: Step::LockOrders(false),
        expected: &[(ORDERS, "503 contention"), (LIST, "503 contention")],
        allowed: &["503 overloaded", "504 deadline-exceeded"],
        alert: alert("RouteErrorBudgetBurnFast", ("http_route", "/v1/orders")),
    },
    Drill {
        name: "redis-down",
        inject: Step::Compose(&["kill", "redis"]),
        remove: Step::Compose(&["start", "redis"]),
        expected: &[],
        allowed: &[],
        alert: alert("BreakerOpen", ("dependency", "redis")),
    },
    Drill {
        name: "supplier-errors",
        inject: Step::Supplier(Some(r#"{"kind": "status", "status": 500}"#)),
        remove: Step::Supplier(None),
        expected: &[
            (QUOTES, "502 upstream-error"),
            (QUOTES, "503 upstream-unavailable"),
        ],
        allowed: &[],
        alert: alert("BreakerOpen", ("dependency", "supplier")),
    },
    Drill {
        name: "supplier-hang",
        inject: Step::Supplier(Some(r#"{"kind": "hang"}"#)),
        remove: Step::Supplier(None),
        expected: &[
            (QUOTES, "504 deadline-exceeded"),
            (QUOTES, "503 upstream-unavailable"),
        ],
        allowed: &[],
        alert: alert("BreakerOpen", ("dependency", "supplier")),
    },
    Drill {
        name: "worker-dead",
        inject: Step::Compose(&["kill", "worker"]),
        remove: Step::Compose(&["start", "worker"]),
        expected: &[],
        allowed: &[],
        alert: alert("JobsWaitTooLong", ("", "")),
    },
    Drill {
        name: "handler-bug",
        inject: Step::Api(Some(("/v1/orders", 0.2))),
        remove: Step::Api(None),
        expected: &[(LIST, "500 internal")],
        allowed: &[],
        alert: alert("InternalErrors", ("http_route", "/v1/orders")),
    },
    Drill {
        name: "collector-down",
        inject: Step::Compose(&["stop", "--timeout", "1", "jaeger"]),
        remove: Step::Compose(&["start", "jaeger"]),
        expected: &[],
        allowed: &[],
        alert: alert("TelemetryDropped", ("job", "api")),
    },
];

impl Step {
    /// Does it.
    pub async fn run(&self) -> Result<(), Failure> {
        let client = Client::new();
        match *self {
            Self::Compose(arguments) => compose(arguments).map(drop),
            Self::Supplier(fault) => {
                let url = format!("{}/faults/quotes", address("supplier", 8091)?);
                let request = match fault {
                    Some(fault) => client
                        .put(url)
                        .header("content-type", "application/json")
                        .body(fault),
                    None => client.delete(url),
                };
                request.send().await?.error_for_status()?;
                Ok(())
            }
            Self::Api(fault) => {
                let url = format!("{}/faults", address("api", 8081)?);
                let request = match fault {
                    Some((route, share)) => client
                        .put(url)
                        .json(&json!({ "kind": "panic", "route": route, "share": share })),
                    None => client.delete(url),
                };
                request.send().await?.error_for_status()?;
                Ok(())
            }
            Self::LockOrders(true) => {
                let lock = "BEGIN; LOCK TABLE orders; SELECT pg_sleep(3600);";
                psql(
                    &[
                        "exec",
                        "--detach",
                        "--env",
                        &format!("PGAPPNAME={TAG}"),
                        "postgres",
                    ],
                    lock,
                )
            }
            Self::LockOrders(false) => {
                let end = format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{TAG}'"
                );
                psql(&["exec", "-T", "postgres"], &end)
            }
        }
    }
}

fn psql(exec: &[&str], sql: &str) -> Result<(), Failure> {
    let psql = ["psql", "--host=127.0.0.1", "--username=app", "--dbname"];
    let database = compose(&["exec", "-T", "postgres", "printenv", "POSTGRES_DB"])?;
    let command = [exec, &psql, &[&database, "--command", sql]].concat();
    // With a password: over TCP the server asks for one.
    let mut with_password = vec![command[0], "--env", "PGPASSWORD=app"];
    with_password.extend(&command[1..]);
    compose(&with_password).map(drop)
}

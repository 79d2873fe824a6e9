//! All drills: how each fault is injected, what callers may see, and which alert fires.

#![expect(
    clippy::disallowed_methods,
    reason = "a tool has no shutdown to wait in, and calls what it started"
)]

use reqwest::Client;
use serde_json::json;

use super::{
    Failure,
    alert::Alert,
    compose::{address, compose},
};

/// An action that injects or removes a fault.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Runs `docker compose` with these arguments.
    Compose(&'static [&'static str]),
    /// Sets the injected fault of the supplier's quotes, as JSON; `None` removes it.
    Supplier(Option<&'static str>),
    /// Makes a share of the requests to a route of the API panic; `None` removes the fault.
    Api(Option<(&'static str, f64)>),
    /// `true` locks the table of orders in a session of its own; `false` ends that session.
    LockOrders(bool),
}

/// A fault and its expected effects.
#[derive(Debug)]
pub(super) struct Drill {
    /// The name that `make drill FAULT=` takes.
    pub name: &'static str,
    /// Injects the fault.
    pub inject: Step,
    /// Removes the fault.
    pub remove: Step,
    /// What callers must see, as operation and result; empty where they must not notice the fault.
    pub expected: &'static [(&'static str, &'static str)],
    /// Further results that callers may see; any other failed request fails the drill.
    pub allowed: &'static [&'static str],
    /// The alert that must fire, reach Alertmanager, and resolve.
    pub alert: Alert,
}

const ORDERS: &str = "POST /v1/orders";
const LIST: &str = "GET /v1/orders";
const QUOTES: &str = "POST /v1/quotes";
const TAG: &str = "drill";

const fn alert(name: &'static str, label: (&'static str, &'static str)) -> Alert {
    Alert { name, label }
}

/// All drills.
pub(super) const ALL: &[Drill] = &[
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
    /// Executes the step.
    pub(super) async fn run(&self) -> Result<(), Failure> {
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
    // Over TCP the server requires a password.
    let mut with_password = vec![command[0], "--env", "PGPASSWORD=app"];
    with_password.extend(&command[1..]);
    compose(&with_password).map(drop)
}

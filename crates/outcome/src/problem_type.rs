//! The row of the catalogue.

use serde::Serialize;

/// An HTTP status that can only be an error. A 2xx does not compile where the row is a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ErrorStatus(u16);

impl ErrorStatus {
    /// Takes 400 to 599 and panics otherwise; in a `const` the panic is a compile error.
    pub const fn new(status: u16) -> Self {
        assert!(
            status >= 400 && status <= 599,
            "a problem type needs a 4xx or 5xx status"
        );
        Self(status)
    }

    /// The status as a number.
    pub const fn as_u16(self) -> u16 {
        self.0
    }
}

/// Who has to act before the same call can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    /// The caller changes the request.
    Caller,
    /// Nobody in person: there is more load than room for it.
    Capacity,
    /// The operators of something this service needs.
    Dependency,
    /// The developers: a bug.
    Bug,
}

/// Whether the call may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// It would fail again.
    Never,
    /// The same request, after the delay in `Retry-After`.
    After,
    /// Reads likewise; writes only with the same idempotency key, since the first may have worked.
    SameKey,
}

/// One way in which a request can fail, described once for bodies, OpenAPI, pages, metrics and tests.
///
/// ```
/// use outcome::{Actor, ErrorStatus, ProblemType, Retry};
///
/// /// The kettle cannot brew coffee.
/// pub static TEAPOT: ProblemType = ProblemType {
///     code: "i-am-a-teapot",
///     status: ErrorStatus::new(418),
///     title: "This is a teapot",
///     actor: Actor::Caller,
///     retry: Retry::Never,
///     advice: "Ask a coffee machine.",
///     user_message: "There is no coffee here.",
///     runbook: "Nothing to do.",
/// };
/// ```
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct ProblemType {
    /// Stable machine-readable name, lower case with dashes. Also the metric label.
    pub code: &'static str,
    /// The HTTP status, always the one in the body.
    pub status: ErrorStatus,
    /// What happened, in a few words that never change.
    pub title: &'static str,
    /// Who has to act.
    pub actor: Actor,
    /// Whether the caller may try again.
    pub retry: Retry,
    /// For the caller's developers: what to do.
    pub advice: &'static str,
    /// For the caller's end users: a sentence to show.
    pub user_message: &'static str,
    /// For the person on call: where to look first.
    pub runbook: &'static str,
}

impl ProblemType {
    /// Whether sending the call again can help. `Retry-After` is present exactly when this is true.
    pub const fn retryable(&self) -> bool {
        !matches!(self.retry, Retry::Never)
    }

    /// The `type` member of RFC 9457: the address of the page that explains this problem.
    pub fn uri(&self) -> String {
        format!("/problems/{}", self.code)
    }
}

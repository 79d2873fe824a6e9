//! Problem types: the rows of the catalogue.

use serde::Serialize;

/// An HTTP status from 400 to 599. In a `const` or `static`, any other does not compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ErrorStatus(u16);

impl ErrorStatus {
    /// An error status.
    ///
    /// # Panics
    /// Unless `status` is 400 to 599; in a `const` or `static` the panic is a compile error.
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

/// What caused a problem, and therefore who must act before the same call can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The request: the client must change it.
    Client,
    /// Load: it subsides, or operators add capacity.
    Capacity,
    /// A dependency of this service: its operators must act.
    Dependency,
    /// A bug in this service: its developers must act.
    Service,
}

/// Whether the call may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// No: the call would fail again.
    Never,
    /// The same request, after the delay in `Retry-After`.
    After,
    /// Reads as with `After`; writes only with the same idempotency key, since the first one may have succeeded.
    SameKey,
}

/// One way in which a request can fail, described once for problem bodies, `OpenAPI`, pages, metrics and tests.
///
/// ```
/// use outcome::{Origin, ErrorStatus, ProblemType, Retry};
///
/// /// The kettle cannot brew coffee.
/// pub static TEAPOT: ProblemType = ProblemType {
///     code: "i-am-a-teapot",
///     status: ErrorStatus::new(418),
///     title: "This is a teapot",
///     origin: Origin::Client,
///     retry: Retry::Never,
///     advice: "Ask a coffee machine.",
///     user_message: "There is no coffee here.",
///     operator_hint: "Nothing to do.",
/// };
/// ```
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct ProblemType {
    /// Stable machine-readable name, lower case with dashes. Also the metric label.
    pub code: &'static str,
    /// The HTTP status, always the one in the body.
    pub status: ErrorStatus,
    /// A short description of what happened, the same for every occurrence.
    pub title: &'static str,
    /// What caused the problem.
    pub origin: Origin,
    /// Whether the caller may retry.
    pub retry: Retry,
    /// For the caller's developers: what to do.
    pub advice: &'static str,
    /// For the caller's end users: a sentence to show.
    pub user_message: &'static str,
    /// For operators: where to look first. Not serialized, since the public port must not reveal it.
    #[serde(skip)]
    pub operator_hint: &'static str,
}

impl ProblemType {
    /// Whether a retry can succeed. `Retry-After` is present exactly when this is true.
    pub const fn retryable(&self) -> bool {
        !matches!(self.retry, Retry::Never)
    }

    /// The `type` member of RFC 9457: the URI of the page that explains this problem type.
    pub fn uri(&self) -> String {
        format!("/problems/{}", self.code)
    }
}

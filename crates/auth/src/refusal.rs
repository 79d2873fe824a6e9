//! The refusals of authentication and authorization (RFC 6750).

use macros::Refusal;
use outcome::{Attach, Problem, common};

/// How a caller can be refused.
#[derive(Debug, Refusal)]
pub enum AuthRefusal {
    /// 401: no token, or one that is not valid here.
    #[problem(common::UNAUTHENTICATED, "send a valid bearer token")]
    Unauthenticated(Challenge),
    /// 403: the token lacks the scope of this operation.
    #[problem(common::FORBIDDEN, "the token lacks the scope of this operation")]
    Forbidden(MissingScope),
    /// 503: the key that signed the token is unknown, and the identity provider cannot be asked for it.
    #[problem(
        common::DEPENDENCY_UNAVAILABLE,
        "the keys of the identity provider cannot be loaded"
    )]
    KeysUnavailable(KeysUnavailable),
    /// 504: the key that signed the token was not loaded before the deadline.
    #[problem(
        common::DEADLINE_EXCEEDED,
        "the keys of the identity provider were not loaded in time"
    )]
    TimedOut,
}

/// What a caller sent to authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// No `Authorization` header, or one with another scheme.
    NoToken,
    /// A bearer token that is not valid here; the text says why.
    Invalid(&'static str),
}

/// The `WWW-Authenticate` header of a 401 (RFC 6750, section 3).
#[derive(Debug)]
pub struct Challenge(pub(crate) Credentials);

impl Attach for Challenge {
    fn attach(self, mut problem: Problem) -> Problem {
        let mut challenge = "Bearer realm=\"api\"".to_owned();
        if let Credentials::Invalid(reason) = self.0 {
            challenge.push_str(", error=\"invalid_token\", error_description=\"");
            challenge.push_str(reason);
            challenge.push('"');
            problem.detail = reason.into();
        }
        problem.header("www-authenticate", challenge)
    }
}

/// The required scope that a token lacks.
#[derive(Debug)]
pub struct MissingScope(&'static str);

impl Attach for MissingScope {
    fn attach(self, problem: Problem) -> Problem {
        let challenge = format!(
            "Bearer realm=\"api\", error=\"insufficient_scope\", scope=\"{}\"",
            self.0
        );
        problem.header("www-authenticate", challenge)
    }
}

/// Why the keys of the identity provider are unavailable, for the log.
#[derive(Debug)]
pub struct KeysUnavailable(pub(crate) String);

impl Attach for KeysUnavailable {
    fn attach(self, problem: Problem) -> Problem {
        problem.caused_by(self.0)
    }
}

impl AuthRefusal {
    /// The refusal of a caller who sent no token.
    pub fn no_token() -> Self {
        Self::Unauthenticated(Challenge(Credentials::NoToken))
    }

    /// The refusal of a token that is not valid here.
    pub(crate) fn invalid(reason: &'static str) -> Self {
        Self::Unauthenticated(Challenge(Credentials::Invalid(reason)))
    }

    /// The refusal of a token that lacks this scope.
    pub(crate) fn missing(scope: &'static str) -> Self {
        Self::Forbidden(MissingScope(scope))
    }
}

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
}

/// The `WWW-Authenticate` header of a 401 (RFC 6750).
#[derive(Debug)]
pub struct Challenge {
    pub(crate) token_was_sent: bool,
}

impl Attach for Challenge {
    fn attach(self, problem: Problem) -> Problem {
        let error = if self.token_was_sent {
            ", error=\"invalid_token\""
        } else {
            ""
        };
        problem.header("www-authenticate", format!("Bearer realm=\"api\"{error}"))
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

impl AuthRefusal {
    /// The refusal of a caller who sent no token.
    pub fn no_token() -> Self {
        Self::Unauthenticated(Challenge {
            token_was_sent: false,
        })
    }

    /// The refusal of a token that lacks this scope.
    pub(crate) fn missing(scope: &'static str) -> Self {
        Self::Forbidden(MissingScope(scope))
    }
}

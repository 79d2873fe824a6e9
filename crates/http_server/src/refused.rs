//! From a refusal to bytes on the wire.

use std::{cell::RefCell, fmt};

use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use outcome::{Problem, Refusal, common};

use super::body::RequestBody;

/// The media type of RFC 9457.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A refusal on its way out: an error of the web framework that carries a problem.
///
/// Only [`observe`](super::observe) knows ids and headers; it completes the answer.
#[derive(Debug)]
pub struct Refused {
    problem: Problem,
    complete: RefCell<Option<Complete>>,
}

/// What every answer carries, and the request body that must not be dropped before it is written.
#[derive(Clone, Debug)]
pub(super) struct Complete {
    pub(super) request_id: String,
    pub(super) trace_id: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) close: bool,
    pub(super) unread: Option<RequestBody>,
}

/// Turns a refusal into the framework's error.
pub fn refuse(refusal: impl Refusal) -> actix_web::Error {
    Refused::new(refusal.into_problem()).into()
}

impl Refused {
    pub(super) fn new(problem: Problem) -> Self {
        Self {
            problem,
            complete: RefCell::new(None),
        }
    }

    /// The problem to answer with.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    pub(super) fn complete(&self, complete: Complete) {
        *self.complete.borrow_mut() = Some(complete);
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.problem.problem_type.code, self.problem.detail)
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.problem.problem_type.status.as_u16()).expect("400 to 599 is a status")
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((header::CONTENT_TYPE, PROBLEM_JSON));
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if let Some(seconds) = self.problem.retry_after_seconds() {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        for (name, value) in &self.problem.headers {
            response.insert_header((*name, value.as_str()));
        }
        let complete = self.complete.borrow();
        let Some(complete) = complete.as_ref() else {
            return response.finish();
        };
        for header in &complete.headers {
            response.insert_header(header.clone());
        }
        if complete.close {
            response.force_close();
        }
        let body = self.problem.body(&complete.request_id, &complete.trace_id);
        let body = serde_json::to_vec(&body).expect("problems serialize");
        response.body(RequestBody::held_by(complete.unread.clone(), BoxBody::new(body)))
    }
}

/// The answer to a bug.
pub(super) fn bug(cause: impl Into<outcome::Cause>) -> actix_web::Error {
    let detail = "an unexpected error; it has been logged with this trace id";
    Refused::new(Problem::new(&common::INTERNAL, detail).caused_by(cause)).into()
}

/// What an error is that did not come from a [`Refusal`]: a handler used the framework's own extractors
/// or answered with a bare status.
pub(super) fn undesigned(status: StatusCode, error: Option<&actix_web::Error>) -> actix_web::Error {
    let problem = match status {
        StatusCode::NOT_FOUND => Problem::new(&common::ROUTE_NOT_FOUND, "there is nothing at this address"),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(&common::CONTENT_TOO_LARGE, "the body is too large"),
        StatusCode::BAD_REQUEST => Problem::new(&common::INVALID_REQUEST, "the request cannot be read"),
        _ => {
            let description = error.map(ToString::to_string).unwrap_or_default();
            return bug(format!("an answer that is not a problem: {status} {description}"));
        }
    };
    Refused::new(problem).into()
}

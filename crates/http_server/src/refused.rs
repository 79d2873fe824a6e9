//! Refusals as problem responses.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    web::Bytes,
};
use connections::Busy;
use outcome::{Problem, ProblemType, Refusal, common};

use super::body::{RequestBody, guarded};

/// The media type of RFC 9457.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// A refusal as an error of the web framework that carries a problem. Only the outermost layer knows the ids and
/// headers; it [renders](Self::render) the response.
#[derive(Debug)]
pub(crate) struct Refused(Problem);

/// What every response carries, and the request body, which must not be dropped before the response is written.
#[derive(Debug)]
pub(super) struct ResponseParts {
    pub(super) request_id: String,
    pub(super) trace_id: String,
    /// The type of the problem to render, if it is not the one that was refused with.
    pub(super) problem_type: Option<&'static ProblemType>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// `Cache-Control` of a success that does not set its own.
    pub(super) cache_control: &'static str,
    pub(super) close: bool,
    pub(super) unread: Option<RequestBody>,
    pub(super) busy: Option<Busy>,
}

/// Turns a refusal into the framework's error.
pub(crate) fn refuse(refusal: impl Refusal) -> actix_web::Error {
    Refused(refusal.into_problem()).into()
}

impl Refused {
    /// The problem to respond with.
    pub(crate) fn problem(&self) -> &Problem {
        &self.0
    }

    /// The complete response, as an error that the framework can render after the request has been dropped.
    pub(super) fn render(&self, parts: ResponseParts) -> Rendered {
        let problem = &self.0;
        let other_type = parts.problem_type.filter(|row| *row != problem.problem_type);
        let as_other_type = other_type.map(|row| problem.as_type(row));
        let problem = as_other_type.as_ref().unwrap_or(problem);
        let mut headers = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        let wait = problem.retry_after_seconds();
        headers.extend(wait.map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds))));
        for (name, value) in &problem.headers {
            let value = HeaderValue::try_from(value.as_str());
            headers.extend(value.ok().map(|value| (HeaderName::from_static(name), value)));
        }
        headers.extend(parts.headers);
        let body = problem.body(&parts.request_id, &parts.trace_id);
        Rendered {
            status: status_of(problem),
            headers,
            body: serde_json::to_vec(&body).expect("a problem serializes").into(),
            close: parts.close,
            unread: parts.unread,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.problem_type.code, self.0.detail)
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        status_of(&self.0)
    }

    /// Never sent: the outermost layer replaces it with the rendered response.
    fn error_response(&self) -> HttpResponse<BoxBody> {
        HttpResponse::new(self.status_code())
    }
}

fn status_of(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.problem_type.status.as_u16()).expect("an error status is a valid status")
}

/// The response to a refused request.
#[derive(Debug)]
pub(super) struct Rendered {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    close: bool,
    unread: Option<RequestBody>,
}

impl fmt::Display for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status.fmt(f)
    }
}

impl ResponseError for Rendered {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status);
        for header in &self.headers {
            response.insert_header(header.clone());
        }
        if self.close {
            response.force_close();
        }
        let body = BoxBody::new(self.body.clone());
        response.body(guarded(body, self.unread.clone(), None))
    }
}

/// The error for a bug: `internal` (500).
pub(super) fn internal(cause: impl Into<outcome::Cause>) -> actix_web::Error {
    Refused(bug(cause)).into()
}

/// The error for a panic of this thread: `internal` (500), with the backtrace of the panic.
pub(super) fn panicked() -> actix_web::Error {
    let mut problem = bug("panicked");
    // A panic of another thread, in a transaction, was logged there.
    problem.backtrace = telemetry::take_panic_backtrace().or(problem.backtrace);
    Refused(problem).into()
}

fn bug(cause: impl Into<outcome::Cause>) -> Problem {
    let detail = "an unexpected error; it has been logged with this trace id";
    Problem::new(&common::INTERNAL, detail).caused_by(cause)
}

/// The problem for an error that did not come from a [`Refusal`], because a handler used the framework's own extractors
/// or returned a bare status.
pub(super) fn unexpected(status: StatusCode, error: Option<&actix_web::Error>) -> actix_web::Error {
    let problem = match status {
        StatusCode::NOT_FOUND => Problem::new(&common::ROUTE_NOT_FOUND, "no route matches this path"),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(&common::CONTENT_TOO_LARGE, "the body is too large"),
        StatusCode::BAD_REQUEST => Problem::new(&common::INVALID_REQUEST, "the request cannot be read"),
        _ => {
            let description = error.map(ToString::to_string).unwrap_or_default();
            return internal(format!(
                "a response that is not a problem: {status} {description}"
            ));
        }
    };
    Refused(problem).into()
}

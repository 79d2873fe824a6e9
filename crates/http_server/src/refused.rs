//! From a refusal to bytes on the wire.

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
use outcome::{Problem, Refusal, common};

use super::body::RequestBody;

/// The media type of RFC 9457.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A refusal on its way out: an error of the web framework that carries a problem. Only the outermost layer knows ids and
/// headers; it [renders](Self::render) the response.
#[derive(Debug)]
pub struct Refused(Problem);

/// What every answer carries, and the request body that must not be dropped before it is written.
#[derive(Debug)]
pub(super) struct Complete {
    pub(super) request_id: String,
    pub(super) trace_id: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) close: bool,
    pub(super) unread: Option<RequestBody>,
}

/// Turns a refusal into the framework's error.
pub fn refuse(refusal: impl Refusal) -> actix_web::Error {
    Refused(refusal.into_problem()).into()
}

impl Refused {
    /// The problem to answer with.
    pub fn problem(&self) -> &Problem {
        &self.0
    }

    /// The response, as an error that needs nothing else: where the request is gone, the framework renders it.
    pub(super) fn render(&self, complete: Complete) -> Rendered {
        let problem = &self.0;
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
        headers.extend(complete.headers);
        let body = problem.body(&complete.request_id, &complete.trace_id);
        Rendered {
            status: self.status_code(),
            headers,
            body: serde_json::to_vec(&body).expect("problems serialize").into(),
            close: complete.close,
            unread: complete.unread,
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
        StatusCode::from_u16(self.0.problem_type.status.as_u16()).expect("400 to 599 is a status")
    }

    /// Never sent: the outermost layer puts the rendered response in its place.
    fn error_response(&self) -> HttpResponse<BoxBody> {
        HttpResponse::new(self.status_code())
    }
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
        response.body(RequestBody::held_by(self.unread.clone(), body))
    }
}

/// The answer to a bug.
pub(super) fn bug(cause: impl Into<outcome::Cause>) -> actix_web::Error {
    let detail = "an unexpected error; it has been logged with this trace id";
    Refused(Problem::new(&common::INTERNAL, detail).caused_by(cause)).into()
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
    Refused(problem).into()
}

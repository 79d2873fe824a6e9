//! Calls from scripts of other origins (the CORS protocol of the Fetch standard, <https://fetch.spec.whatwg.org>).
//!
//! `actix-cors` adds its headers to successful responses of the layers below only, so that a browser could not read a
//! refusal of the quota or of load shedding, and answers an unknown origin without a problem.

use actix_web::http::{
    Method,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};

use crate::Settings;

/// The request headers that scripts may set, besides those that are always allowed.
const REQUEST_HEADERS: &str = "authorization, content-type, idempotency-key, if-none-match, traceparent, x-request-id, \
                               x-request-timeout-ms";
/// The response headers that scripts may read, besides those that are always exposed.
const RESPONSE_HEADERS: &str = "x-request-id, retry-after, ratelimit, ratelimit-policy, location, etag, age, \
                                idempotency-replayed, www-authenticate";
/// How long a browser may remember the response to a preflight, in seconds; browsers allow at most two hours.
const MAX_AGE: &str = "600";

type Headers = Vec<(HeaderName, HeaderValue)>;

/// The headers of every response to this request; none if its origin may not call the API, or there is none.
pub(crate) fn response_headers(request: &HeaderMap, settings: &Settings) -> Headers {
    if settings.cors_allowed_origins.is_empty() {
        return Vec::new();
    }
    // A shared cache must not give the response for one origin to another.
    let mut headers = vec![(header::VARY, HeaderValue::from_static("origin"))];
    let origin = request.get(header::ORIGIN);
    let allowed = |origin: &&HeaderValue| {
        let mut origins = settings.cors_allowed_origins.iter();
        origins.any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
    };
    if let Some(origin) = origin.filter(allowed) {
        let exposed = HeaderValue::from_static(RESPONSE_HEADERS);
        headers.push((header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()));
        headers.push((header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed));
    }
    headers
}

/// The additional headers of the response to a preflight, the question whether a script may send a request with other
/// methods or headers than a form could. `methods` are those that the path supports.
pub(crate) fn preflight_headers(method: &Method, request: &HeaderMap, methods: &str) -> Headers {
    let is_preflight =
        method == Method::OPTIONS && request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    match HeaderValue::from_str(methods) {
        Ok(methods) if is_preflight => vec![
            (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
            (
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static(REQUEST_HEADERS),
            ),
            (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE)),
        ],
        _ => Vec::new(),
    }
}

/// Whether `origin` is one: a scheme and a host, without a path, or `*`.
pub(crate) fn is_origin(origin: &str) -> bool {
    let parsed = origin.parse::<url::Url>();
    origin == "*" || parsed.is_ok_and(|url| url.origin().ascii_serialization() == origin)
}

//! The outermost layer: request ids, panic handling, metrics, and the one log event per request.

use std::{panic::AssertUnwindSafe, time::Duration};

use actix_web::{
    Error, HttpMessage, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        ConnectionType,
        header::{self, HeaderName, HeaderValue},
    },
    middleware::Next,
};
use connections::{Connection, is_trusted};
use futures_util::FutureExt;
use outcome::{Origin, Problem, ProblemType, common};
use resilience::Quota;
use runtime::{Phase, RequestContext};
use telemetry::Trust;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{
    body::{RequestBody, guarded},
    cors,
    deadline::time_limit,
    refused::{Refused, ResponseParts, panicked, unexpected},
    routes::is_page,
};
use crate::{RequestExt, Shared};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What the pages of the service may load: nothing from elsewhere. Swagger UI has inline styles and images.
const PAGE_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                           frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Serves the request, catches panics, and completes the response.
pub(super) async fn log_request(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let shared = request.shared().clone();
    let served = shared.operations.routes().served(&request);
    let route = served.template;
    let method = known_method(request.method().as_str());
    let context = begin(&request, &shared, method, route);
    let connection = request.conn_data::<Connection>().cloned();
    let busy = connection.as_ref().map(Connection::serve);
    let cors = cors::response_headers(request.headers(), &shared.settings);
    request.extensions_mut().insert(context.clone());
    request.extensions_mut().insert(served);
    let unread = RequestBody::share(&mut request);
    let _active = shared.metrics.started();
    let abandoned = Abandoned {
        context: &context,
        shared: &shared,
        method,
        route,
    };

    // Discards the backtrace of an earlier panic on this thread.
    let _ = telemetry::take_panic_backtrace();
    let served = AssertUnwindSafe(next.call(request).instrument(context.span()))
        .catch_unwind()
        .await;

    // Nothing is awaited from here on, so the request can no longer be abandoned.
    std::mem::forget(abandoned);
    let result = if let Ok(result) = served {
        result.map(ServiceResponse::map_into_boxed_body)
    } else {
        shared.metrics.panicked();
        Err(panicked())
    };
    let result = result
        .map_err(ensure_problem)
        .and_then(|response| match response.status().as_u16() {
            400.. if refused(response.response().error()).is_none() => {
                Err(unexpected(response.status(), response.response().error()))
            }
            _ => Ok(response),
        });
    let (status, error) = match &result {
        Ok(response) => (response.status().as_u16(), response.response().error()),
        Err(error) => (error.as_response_error().status_code().as_u16(), Some(error)),
    };
    let problem = refused(error).map(Refused::problem);
    let problem_type = problem.map(|problem| type_of(problem, &context));
    let code = problem_type.map(|row| row.code);
    let status = problem_type.map_or(status, |row| row.status.as_u16());
    let (span, took) = (context.span(), context.elapsed());
    span.record("http.response.status_code", i64::from(status));
    let failed =
        status >= 500 && problem_type.is_none_or(|row| row.origin != Origin::Client) && !context.is_quiet();
    if failed {
        telemetry::failed(&span, code.unwrap_or("unexpected"));
        span.record("cause", problem.and_then(Problem::cause_chain));
    }
    let is_sampled = telemetry::is_sampled(&span, &shared.traces, failed, took);
    let sampled_trace = is_sampled.then(|| context.trace_id());
    shared
        .metrics
        .responded(method, route, status, code, took, sampled_trace);
    if !context.is_quiet() {
        log(&context, method, route, status, problem.zip(problem_type));
    }

    let parts = ResponseParts {
        request_id: context.request_id().to_owned(),
        trace_id: context.trace_id().to_owned(),
        problem_type,
        headers: headers(&context, cors),
        cache_control: if is_page(route) {
            "public, max-age=300"
        } else {
            "no-store"
        },
        close: shared.lifecycle.phase() > Phase::Serving
            || connection.as_ref().is_some_and(Connection::is_old),
        unread,
        busy,
    };
    match result {
        Ok(response) => Ok(finish(response, parts)),
        Err(error) => {
            // The request has been dropped: the framework renders the response from the error.
            Err(match refused(Some(&error)) {
                Some(refused) => refused.render(parts).into(),
                None => error,
            })
        }
    }
}

/// Counts and logs a request that is dropped because its connection closes before the response.
struct Abandoned<'r> {
    context: &'r RequestContext,
    shared: &'r Shared,
    method: &'r str,
    route: &'r str,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        let client_gave_up = self
            .context
            .client_gave_up(self.shared.settings.give_up_threshold);
        self.shared
            .metrics
            .abandoned(self.method, self.route, client_gave_up);
        if client_gave_up {
            // Its trace is kept, as those of the other failures.
            telemetry::failed(&self.context.span(), "client_gave_up");
        }
        let reason = if self.shared.lifecycle.phase() > Phase::Serving {
            "client disconnected, or the drain timeout passed"
        } else {
            "client disconnected"
        };
        tracing::info!(
            reason,
            client_gave_up,
            method = self.method,
            route = self.route,
            subject = self.context.subject(),
            request_id = self.context.request_id(),
            trace_id = self.context.trace_id(),
            duration_ms = milliseconds(self.context.elapsed()),
            db_ms = milliseconds(self.context.database_time()),
            attempts = self.context.attempts(),
            about = self.context.about(),
            "client disconnected before the response"
        );
    }
}

fn begin(request: &ServiceRequest, shared: &Shared, method: &str, route: &str) -> RequestContext {
    let request_id = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_valid_id(id))
        .map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned);
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        request_id,
        trace_id = tracing::field::Empty,
        // No url.path: clients can put anything there.
        http.response.status_code = tracing::field::Empty,
        error.type = tracing::field::Empty,
        otel.status_code = tracing::field::Empty,
        cause = tracing::field::Empty,
    );
    // Set before the span is first entered: after that its parent is fixed.
    let traceparent = request.headers().get("traceparent");
    let traceparent = traceparent.and_then(|value| value.to_str().ok());
    let peer = request.peer_addr();
    let trust = if peer.is_some_and(|peer| is_trusted(peer.ip(), shared.settings.proxies())) {
        Trust::SampledFlag
    } else {
        Trust::TraceId {
            sample_ratio: shared.traces.sample_ratio,
        }
    };
    let _ = span.set_parent(telemetry::remote_parent(traceparent, trust));
    let trace_id = telemetry::trace_id(&span);
    span.record("trace_id", &trace_id);
    RequestContext::new(
        request_id,
        trace_id,
        span,
        time_limit(request.headers(), &shared.settings),
    )
}

/// Whether a request id from a client is harmless in logs and headers.
fn is_valid_id(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
}

/// The method as a label. Unknown methods share one value, so that clients cannot create labels.
fn known_method(method: &str) -> &'static str {
    [
        "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT",
    ]
    .into_iter()
    .find(|known| *known == method)
    .unwrap_or("_OTHER")
}

/// Adds what every response carries. The body of a refusal is rendered only here, because it contains the ids.
fn finish(response: ServiceResponse<BoxBody>, parts: ResponseParts) -> ServiceResponse<BoxBody> {
    let close = parts.close;
    if let Some(refused) = refused(response.response().error()) {
        let rendered = refused.render(parts).error_response();
        return response.map_body(|head, _| {
            head.status = rendered.status();
            for (name, value) in rendered.headers() {
                head.headers_mut().insert(name.clone(), value.clone());
            }
            if close {
                head.set_connection_type(ConnectionType::Close);
            }
            rendered.into_body()
        });
    }
    response.map_body(|head, body| {
        if close {
            head.set_connection_type(ConnectionType::Close);
        }
        if !head.headers().contains_key(header::CACHE_CONTROL) {
            head.headers_mut().insert(
                header::CACHE_CONTROL,
                HeaderValue::from_static(parts.cache_control),
            );
        }
        let content_type = head.headers().get(header::CONTENT_TYPE);
        if content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/html")) {
            head.headers_mut().insert(
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(PAGE_POLICY),
            );
        }
        for (name, value) in parts.headers {
            if name == header::VARY {
                head.headers_mut().append(name, value);
            } else {
                head.headers_mut().insert(name, value);
            }
        }
        guarded(body, parts.unread, parts.busy)
    })
}

fn refused(error: Option<&Error>) -> Option<&Refused> {
    error?.as_error::<Refused>()
}

/// Turns an error that is not a refusal into one.
fn ensure_problem(error: Error) -> Error {
    if error.as_error::<Refused>().is_some() {
        return error;
    }
    unexpected(error.as_response_error().status_code(), Some(&error))
}

fn headers(
    context: &RequestContext,
    mut headers: Vec<(HeaderName, HeaderValue)>,
) -> Vec<(HeaderName, HeaderValue)> {
    headers.reserve(4);
    // A body is never another type than its header says.
    headers.push((
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ));
    let mut add = |name: HeaderName, value: String| {
        headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
    };
    add(REQUEST_ID, context.request_id().to_owned());
    if let Some(Quota {
        burst,
        window,
        remaining,
        reset,
        ..
    }) = context.quota()
    {
        let (window, reset) = (window.as_secs_f64().ceil(), reset.as_secs_f64().ceil());
        add(RATE_LIMIT_POLICY, format!("\"default\";q={burst};w={window}"));
        add(RATE_LIMIT, format!("\"default\";r={remaining};t={reset}"));
    }
    headers
}

/// The problem type to report. A deadline that the client chose too short is not a failure of the service, whichever
/// layer noticed that it passed.
fn type_of(problem: &Problem, context: &RequestContext) -> &'static ProblemType {
    let row = problem.problem_type;
    let cut_short = row == &common::DEADLINE_EXCEEDED || problem.outcome_unknown;
    if cut_short && context.client_deadline_passed() {
        &common::CLIENT_DEADLINE_EXCEEDED
    } else {
        row
    }
}

/// Logs the one event of the request. Its fields describe the request; its level says whether an operator must look.
fn log(
    context: &RequestContext,
    method: &str,
    route: &str,
    http_status: u16,
    problem: Option<(&Problem, &ProblemType)>,
) {
    let problem_code = problem.map(|(_, row)| row.code);
    let cause = problem.and_then(|(problem, _)| problem.cause_chain());
    let outcome = problem
        .filter(|(problem, _)| problem.outcome_unknown)
        .map(|_| "unknown");
    let backtrace = problem.and_then(|(problem, _)| problem.backtrace.as_deref());
    let duration_ms = milliseconds(context.elapsed());
    let about = context.about();
    macro_rules! event {
        ($level:ident) => {
            tracing::$level!(
                method,
                route,
                http_status,
                problem = problem_code,
                outcome,
                cause,
                subject = context.subject(),
                request_id = context.request_id(),
                trace_id = context.trace_id(),
                duration_ms,
                db_ms = milliseconds(context.database_time()),
                attempts = context.attempts(),
                idempotency_key = context.idempotency_key(),
                about,
                backtrace,
                "request completed"
            )
        };
    }
    match http_status {
        _ if problem.is_some_and(|(_, row)| row.origin == Origin::Client) => event!(info),
        // Expected during every release.
        503 if problem_code == Some(common::SHUTTING_DOWN.code) => event!(warn),
        500.. => event!(error),
        _ => event!(info),
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1_000.0
}

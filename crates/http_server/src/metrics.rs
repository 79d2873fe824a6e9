//! Metrics of requests and responses.

use std::time::{Duration, SystemTime};

use outcome::common;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, exemplar::HistogramWithExemplars, family::Family, gauge::Gauge},
    registry::Unit,
};
use telemetry::metrics::{Counters, Metrics, SECONDS};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    http_request_method: String,
    http_route: String,
    http_response_status_code: u16,
    /// The problem code of a 5xx response; empty otherwise.
    error_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    http_request_method: String,
    http_route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabels {
    http_request_method: String,
    http_route: String,
    code_class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProblemLabels {
    http_request_method: String,
    http_route: String,
    problem: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Exemplar {
    trace_id: String,
}

/// The class of a 504 whose deadline the client chose too short: no failure of the service.
const CLIENT_DEADLINE: &str = "client_deadline";
/// The class of a request whose client gave up waiting: a failure without a response.
const CLIENT_GAVE_UP: &str = "client_gave_up";

type Seconds = HistogramWithExemplars<Exemplar>;

fn seconds() -> Seconds {
    Seconds::new(SECONDS.into_iter())
}

/// Metrics of requests and responses.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    duration: Family<RequestLabels, Seconds, fn() -> Seconds>,
    responses: Counters<ClassLabels>,
    problems: Counters<ProblemLabels>,
    active: Gauge,
    active_limit: Gauge,
    abandoned: Counters<OperationLabels>,
    panics: Counter,
}

/// Counts a request as active until it is dropped.
#[derive(Debug)]
pub struct Active(Gauge);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl HttpMetrics {
    /// Registers the metrics.
    pub fn register(all: &Metrics) -> Self {
        let metrics = Self {
            duration: Family::new_with_constructor(seconds as fn() -> Seconds),
            responses: Family::default(),
            problems: Family::default(),
            active: Gauge::default(),
            active_limit: Gauge::default(),
            abandoned: Family::default(),
            panics: Counter::default(),
        };
        all.register(|registry| {
            registry.register_with_unit(
                "http_server_request_duration",
                "Duration of requests until the response is ready",
                Unit::Seconds,
                metrics.duration.clone(),
            );
            registry.register(
                "http_server_responses",
                "Responses by operation and status class, and requests whose client gave up",
                metrics.responses.clone(),
            );
            registry.register(
                "http_server_problems",
                "Problem responses by operation and problem type",
                metrics.problems.clone(),
            );
            registry.register(
                "http_server_abandoned_requests",
                "Requests whose client disconnected before the response",
                metrics.abandoned.clone(),
            );
            registry.register(
                "http_server_active_requests",
                "Requests being served",
                metrics.active.clone(),
            );
            registry.register(
                "http_server_active_requests_limit",
                "Maximum number of requests in flight; the excess is refused as overloaded",
                metrics.active_limit.clone(),
            );
            registry.register(
                "panics",
                "Panics caught while serving a request",
                metrics.panics.clone(),
            );
        });
        metrics
    }

    /// Sets the gauge of the maximum number of requests in flight.
    pub(crate) fn set_active_limit(&self, limit: usize) {
        self.active_limit.set(i64::try_from(limit).unwrap_or(i64::MAX));
    }

    /// Creates the counters of an operation at 0: `rate()` misses the first increment of a counter that starts above 0.
    pub fn announce(&self, method: &str, route: &str) {
        for code_class in ["2xx", "3xx", "4xx", "5xx", CLIENT_DEADLINE, CLIENT_GAVE_UP] {
            let _ = self.responses.get_or_create(&ClassLabels {
                http_request_method: method.to_owned(),
                http_route: route.to_owned(),
                code_class,
            });
        }
        // Alerts query these two: the first occurrence must count, too.
        for problem in ["internal", "overloaded"] {
            let _ = self.problems.get_or_create(&ProblemLabels {
                http_request_method: method.to_owned(),
                http_route: route.to_owned(),
                problem,
            });
        }
    }

    /// Counts a request as active.
    pub fn started(&self) -> Active {
        self.active.inc();
        Active(self.active.clone())
    }

    /// Counts a response. `sampled_trace` is the id of its trace if that is kept: the exemplar that leads from a slow
    /// bucket to a trace.
    pub fn responded(
        &self,
        method: &str,
        route: &str,
        status: u16,
        problem: Option<&'static str>,
        took: Duration,
        sampled_trace: Option<&str>,
    ) {
        let request = RequestLabels {
            http_request_method: method.to_owned(),
            http_route: route.to_owned(),
            http_response_status_code: status,
            error_type: problem.filter(|_| status >= 500).unwrap_or_default(),
        };
        let exemplar = sampled_trace.map(|trace_id| Exemplar {
            trace_id: trace_id.to_owned(),
        });
        let timestamp = exemplar.is_some().then(SystemTime::now);
        self.duration
            .get_or_create(&request)
            .observe(took.as_secs_f64(), exemplar, timestamp);
        let code_class = match status {
            _ if problem == Some(common::CLIENT_DEADLINE_EXCEEDED.code) => CLIENT_DEADLINE,
            ..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        self.count_response(method, route, code_class);
        if let Some(problem) = problem {
            self.problems
                .get_or_create(&ProblemLabels {
                    http_request_method: method.to_owned(),
                    http_route: route.to_owned(),
                    problem,
                })
                .inc();
        }
    }

    /// Counts a request whose client disconnected before the response, as a failure if the client gave up waiting.
    pub fn abandoned(&self, method: &str, route: &str, gave_up: bool) {
        if gave_up {
            self.count_response(method, route, CLIENT_GAVE_UP);
        }
        self.abandoned
            .get_or_create(&OperationLabels {
                http_request_method: method.to_owned(),
                http_route: route.to_owned(),
            })
            .inc();
    }

    fn count_response(&self, method: &str, route: &str, code_class: &'static str) {
        self.responses
            .get_or_create(&ClassLabels {
                http_request_method: method.to_owned(),
                http_route: route.to_owned(),
                code_class,
            })
            .inc();
    }

    /// Counts a panic.
    pub fn panicked(&self) {
        self.panics.inc();
    }
}

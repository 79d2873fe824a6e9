//! The sections `http`, `rate_limit` and `faults`.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use settings::Errors;

use crate::fault_injection::InjectedFault;

const MILLISECOND: Duration = Duration::from_millis(1);

/// The public and the management server, and the limits of a request.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = Settings::check)]
pub struct Settings {
    /// IP address that the public and the management server listen on.
    #[setting(default = [127, 0, 0, 1].into())]
    pub host: IpAddr,
    /// Port of the public API; 0 picks a free port.
    #[setting(default = 8080)]
    pub port: u16,
    /// Port of the management server (probes, metrics, fault injection); 0 picks a free port.
    #[setting(default = 8081)]
    pub management_port: u16,
    /// Worker threads of the public server; 0 means one per CPU core.
    #[setting(default = 0)]
    pub workers: usize,
    /// Time limit for a request, counted from the arrival of the complete request, unless the client sets its own with
    /// `X-Request-Timeout-Ms`. A request that exceeds it gets 504 `deadline-exceeded`.
    #[setting(default = Duration::from_secs(3), min = MILLISECOND)]
    pub deadline: Duration,
    /// Shortest time limit that a client can set with `X-Request-Timeout-Ms`. Shorter values are raised to it, because
    /// they would only break connections.
    #[setting(default = Duration::from_millis(50), min = MILLISECOND)]
    pub min_deadline: Duration,
    /// Longest time limit that a client can set with `X-Request-Timeout-Ms`. Longer values are lowered to it.
    #[setting(default = Duration::from_secs(10))]
    pub max_deadline: Duration,
    /// Request timeout of the ingress in front of the service. Not applied here; `api check` verifies that it exceeds
    /// `http.max_deadline`.
    #[setting(default = Duration::from_secs(15))]
    pub ingress_timeout: Duration,
    /// Request timeout of the clients. Not applied here; `api check` verifies that it exceeds `http.ingress_timeout`.
    #[setting(default = Duration::from_secs(20))]
    pub client_timeout: Duration,
    /// Maximum number of requests in flight, of which at most half may still be receiving their bodies. The excess gets
    /// 503 `overloaded`.
    #[setting(default = 256, min = 1)]
    pub max_in_flight: usize,
    /// Maximum number of open connections; further ones wait in the accept queue. Keep it below the limit on open
    /// files.
    #[setting(default = 800, min = 1)]
    pub max_connections: usize,
    /// Time that an idle connection stays open. It must be longer than the ingress keeps idle connections open:
    /// otherwise the ingress may send a request on a connection that is being closed, and respond with 502.
    #[setting(default = Duration::from_secs(75), min = MILLISECOND)]
    pub keep_alive: Duration,
    /// Maximum size of a request body in bytes; a larger one gets 413 `content-too-large`.
    #[setting(default = 65_536, min = 1)]
    pub max_body_bytes: usize,
    /// Maximum size of the request line and headers in bytes; larger ones get 431 `head-too-large`. Keep it below
    /// 131072 (128 KiB), at which the HTTP library responds by itself.
    #[setting(default = 16_384, min = 1)]
    pub max_head_bytes: usize,
    /// Time limit for the arrival of a request body; a slower one gets 408 `request-timeout`.
    #[setting(default = Duration::from_secs(10), min = MILLISECOND)]
    pub body_timeout: Duration,
    /// Proxies whose `X-Forwarded-For` is trusted, as IP addresses or networks such as `10.0.0.0/8`. The header gives
    /// the client address for the quotas of requests without a valid token.
    pub trusted_proxies: Vec<IpNet>,
}

impl Settings {
    /// An outer timeout must outlast the inner one, or the response to the inner one is never seen:
    /// client > ingress > largest deadline ≥ deadline.
    fn check(&self, errors: &mut Errors) {
        errors.outlasts(
            "client_timeout",
            (self.client_timeout, self.client_timeout > self.ingress_timeout),
            ("`http.ingress_timeout`", self.ingress_timeout),
        );
        errors.outlasts(
            "ingress_timeout",
            (self.ingress_timeout, self.ingress_timeout > self.max_deadline),
            ("`http.max_deadline`", self.max_deadline),
        );
        errors.outlasts(
            "max_deadline",
            (self.max_deadline, self.max_deadline >= self.deadline),
            ("`http.deadline`", self.deadline),
        );
        errors.outlasts(
            "max_deadline",
            (self.max_deadline, self.max_deadline >= self.min_deadline),
            ("`http.min_deadline`", self.min_deadline),
        );
    }
}

/// Quotas of subjects, and of addresses without a valid token.
#[derive(Clone, Debug, settings::Settings)]
pub struct RateLimitSettings {
    /// Average number of requests per second that one subject may send; the excess gets 429 `quota-exceeded`.
    #[setting(default = 100, min = 1)]
    pub per_second: u32,
    /// Number of requests that one subject may send in a burst.
    #[setting(default = 200, min = 1)]
    pub burst: u32,
    /// Average number of requests per second without a valid token from one IPv4 address or IPv6 /64 network, counted
    /// in each process; the excess gets 429 `quota-exceeded`.
    #[setting(default = 50, min = 1)]
    pub anonymous_per_second: u32,
    /// Number of requests without a valid token in a burst from one IPv4 address or IPv6 /64 network, counted in each
    /// process.
    #[setting(default = 100, min = 1)]
    pub anonymous_burst: u32,
    /// Fraction of a subject's quota that each process allows without Redis. Set it to 1 divided by the number of
    /// replicas.
    #[setting(default = 1.0, above = 0.0, max = 1.0)]
    pub fallback_ratio: f32,
}

/// Fault injection.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = FaultSettings::check)]
pub struct FaultSettings {
    /// Whether faults can be injected into this process, with `PUT /faults` on the management port or with
    /// `faults.at_startup`. Not allowed in production.
    #[setting(default = false)]
    pub enabled: bool,
    /// Fault to inject from the start, for drills with a faulty release, in the format of `PUT /faults`, such as
    /// {"kind": "latency", "ms": 400}. Requires `faults.enabled`.
    pub at_startup: Option<InjectedFault>,
}

impl FaultSettings {
    fn check(&self, errors: &mut Errors) {
        if self.at_startup.is_some() && !self.enabled {
            errors.add("at_startup", "needs faults.enabled");
        }
    }
}

//! The sections `http`, `rate_limit` and `faults`.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use settings::Errors;

use crate::drill::Fault;

const MILLISECOND: Duration = Duration::from_millis(1);

/// The public and the management server, and the limits of a request.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = Settings::check)]
pub struct Settings {
    /// Address that both servers listen on.
    #[setting(default = [127, 0, 0, 1].into())]
    pub host: IpAddr,
    /// Port of the public API; 0 takes a free one.
    #[setting(default = 8080)]
    pub port: u16,
    /// Port for probes and metrics; 0 takes a free one.
    #[setting(default = 8081)]
    pub management_port: u16,
    /// Worker threads; 0 is one per core.
    #[setting(default = 0)]
    pub workers: usize,
    /// Time for an answer, counted from the arrival of the whole request.
    #[setting(default = Duration::from_secs(3), min = MILLISECOND)]
    pub deadline: Duration,
    /// The least that a caller's `X-Request-Timeout-Ms` counts for; less would only cut connections off.
    #[setting(default = Duration::from_millis(50), min = MILLISECOND)]
    pub min_deadline: Duration,
    /// The most that a caller may ask for with `X-Request-Timeout-Ms`.
    #[setting(default = Duration::from_secs(10))]
    pub max_deadline: Duration,
    /// What the ingress in front allows; not used, but `api check` proves that it exceeds `http.max_deadline`.
    #[setting(default = Duration::from_secs(15))]
    pub ingress_timeout: Duration,
    /// What callers allow; not used, but `api check` proves that it exceeds `http.ingress_timeout`.
    #[setting(default = Duration::from_secs(20))]
    pub client_timeout: Duration,
    /// Requests in flight at once; the excess gets 503 `overloaded`.
    #[setting(default = 256, min = 1)]
    pub max_in_flight: usize,
    /// Open connections at the same time; further ones wait to be accepted. Keep it below the limit of open files.
    #[setting(default = 800, min = 1)]
    pub max_connections: usize,
    /// Time that an idle connection is kept. It must be longer than the ingress keeps its own, or a request meets a
    /// connection that is being closed and gets a 502 from the ingress.
    #[setting(default = Duration::from_secs(75), min = MILLISECOND)]
    pub keep_alive: Duration,
    /// Largest request body.
    #[setting(default = 65_536, min = 1)]
    pub max_body_bytes: usize,
    /// Largest request head, below the 128 KiB at which the HTTP library answers by itself.
    #[setting(default = 16_384, min = 1)]
    pub max_head_bytes: usize,
    /// Time for a body to arrive.
    #[setting(default = Duration::from_secs(10), min = MILLISECOND)]
    pub body_timeout: Duration,
    /// Peers whose `X-Forwarded-For` is believed, as addresses or networks.
    pub trusted_proxies: Vec<IpNet>,
}

impl Settings {
    /// The outer layer must outlast the inner one, or the inner one's answer is never seen:
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

/// Quotas.
#[derive(Clone, Debug, settings::Settings)]
pub struct RateLimitSettings {
    /// Requests per second of one subject.
    #[setting(default = 100, min = 1)]
    pub per_second: u32,
    /// Requests that one subject may send at once.
    #[setting(default = 200, min = 1)]
    pub burst: u32,
    /// Requests per second without a valid token, of one address, counted in this process.
    #[setting(default = 50, min = 1)]
    pub anonymous_per_second: u32,
    /// Requests without a valid token that one address may send at once.
    #[setting(default = 100, min = 1)]
    pub anonymous_burst: u32,
    /// Without Redis each process allows this fraction of a subject's quota: one over the number of replicas.
    #[setting(default = 1.0, above = 0.0, max = 1.0)]
    pub local_share: f32,
}

/// Faults for drills.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = FaultSettings::check)]
pub struct FaultSettings {
    /// Whether `PUT /faults` on the management port may make this process sick; production refuses it.
    #[setting(default = false)]
    pub enabled: bool,
    /// A fault that is there from the start, as `PUT /faults` takes it, such as {"kind": "latency", "ms": 400}:
    /// how an image is made sick for a drill. Needs `faults.enabled`.
    pub start: Option<Fault>,
}

impl FaultSettings {
    fn check(&self, errors: &mut Errors) {
        if self.start.is_some() && !self.enabled {
            errors.add("start", "needs faults.enabled");
        }
    }
}

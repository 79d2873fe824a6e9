//! The sections `http`, `rate_limit` and `faults`.

use std::{net::IpAddr, time::Duration};

use connections::{ForwardedHeader, Limits, TrustedProxies};
use ipnet::IpNet;
use settings::Errors;

use crate::{cors::is_origin, fault_injection::InjectedFault, server::HEAD_TIMEOUT};

const MILLISECOND: Duration = Duration::from_millis(1);

/// The public and the management server, and the limits of a request.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = Settings::check)]
pub struct Settings {
    /// IP address that the public server listens on.
    #[setting(default = [127, 0, 0, 1].into())]
    pub host: IpAddr,
    /// IP address that the management server listens on; if empty, that of `http.host`. Its port has no authentication.
    pub management_host: Option<IpAddr>,
    /// Port of the public API; 0 picks a free port.
    #[setting(default = 8080)]
    pub port: u16,
    /// Port of the management server (probes, metrics, fault injection); 0 picks a free port.
    #[setting(default = 8081)]
    pub management_port: u16,
    /// Worker threads of the public server; 0 means one per CPU core.
    #[setting(default = 0)]
    pub workers: usize,
    /// Time limit for a request, not counting the time that its body takes to arrive, unless the client sets its own with
    /// `X-Request-Timeout-Ms`. A request that exceeds it gets 504 `deadline-exceeded`.
    #[setting(default = Duration::from_secs(3), min = MILLISECOND)]
    pub deadline: Duration,
    /// Shortest time limit that a client can set with `X-Request-Timeout-Ms`. Shorter values are raised to it, because
    /// they would only break connections.
    #[setting(default = Duration::from_millis(50), min = MILLISECOND)]
    pub min_deadline: Duration,
    /// Time limits of clients below this are too short to be a measure of the service: missing one is 504
    /// `client-deadline-exceeded`, which is no failure of the service. Missing a longer one is `deadline-exceeded`. Keep it
    /// below the timeout with which other services call this one.
    #[setting(default = Duration::from_millis(500), min = MILLISECOND)]
    pub short_deadline: Duration,
    /// A request whose client disconnects after the service has worked on it for this long, or at the end of the deadline
    /// that the client set, has failed: the client gave up waiting. It counts in the error budget, as `client_gave_up`. A
    /// client that disconnects earlier has changed its mind.
    #[setting(default = Duration::from_secs(1), min = MILLISECOND)]
    pub give_up_threshold: Duration,
    /// Longest time limit that a client can set with `X-Request-Timeout-Ms`. Longer values are lowered to it.
    #[setting(default = Duration::from_secs(10))]
    pub max_deadline: Duration,
    /// Request timeout of the ingress in front of the service. Not applied here; `api check` verifies that it exceeds
    /// `http.max_deadline`.
    #[setting(default = Duration::from_secs(15))]
    pub ingress_timeout: Duration,
    /// Request timeout of the clients. Not applied here; `api check` verifies that it exceeds `http.ingress_timeout`, and
    /// `http.body_timeout` + `http.max_deadline`.
    #[setting(default = Duration::from_secs(25))]
    pub client_timeout: Duration,
    /// Time after which the ingress closes an idle connection to the service. Not applied here; `api check` verifies that
    /// `http.keep_alive` exceeds it.
    #[setting(default = Duration::from_mins(1))]
    pub ingress_idle_timeout: Duration,
    /// Maximum number of requests in flight, of which at most half may still be receiving their bodies. The excess gets
    /// 503 `overloaded`.
    #[setting(default = 256, min = 1)]
    pub max_in_flight: usize,
    /// Maximum number of open connections, divided evenly among the worker threads. At the limit, a new connection
    /// replaces the one that has been idle longest; while all of them serve requests, a sixteenth more are accepted. Keep
    /// it below the limit on open files.
    #[setting(default = 800, min = 1)]
    pub max_connections: usize,
    /// Age at which a connection is closed with its next response, so that clients that keep their connections open
    /// spread over new replicas.
    #[setting(default = Duration::from_mins(10), min = MILLISECOND)]
    pub max_connection_age: Duration,
    /// Time limit for the client to accept any part of a response; after that, its connection is closed.
    #[setting(default = Duration::from_secs(10), min = MILLISECOND)]
    pub send_timeout: Duration,
    /// Time that an idle connection stays open. Must exceed `http.ingress_idle_timeout`: otherwise the ingress may send a
    /// request on a connection that is being closed, and respond with 502.
    #[setting(default = Duration::from_secs(75), min = MILLISECOND)]
    pub keep_alive: Duration,
    /// Maximum size of a request body in bytes; a larger one gets 413 `content-too-large`.
    #[setting(default = 65_536, min = 1)]
    pub max_body_bytes: usize,
    /// Maximum size of the request line and headers in bytes; larger ones get 431 `head-too-large`. Must be below
    /// 131072 (128 KiB), at which the HTTP library responds by itself.
    #[setting(default = 16_384, min = 1, max = 131_071)]
    pub max_head_bytes: usize,
    /// Time limit for the arrival of a request body; a slower one gets 408 `request-timeout`.
    #[setting(default = Duration::from_secs(10), min = MILLISECOND)]
    pub body_timeout: Duration,
    /// Proxies whose `http.forwarded_header` and sampled traces are trusted, as IP addresses or networks such as
    /// `10.0.0.0/8`; `none` if clients connect directly. Must be set outside development. The header gives the client
    /// address for the quotas of requests without a valid token.
    pub trusted_proxies: Option<TrustedProxies>,
    /// Origins of web pages whose scripts may call the API, such as `https://app.example`, or `*` for all. Scripts need a
    /// token like every client; cookies are not used.
    pub cors_allowed_origins: Vec<String>,
    /// Whether `GET /info` shows version, environment and schema besides the name of the service.
    #[setting(default = true)]
    pub info_details: bool,
    /// Header in which trusted proxies name the client: `x-forwarded-for`, or `forwarded` (RFC 7239).
    #[setting(default = ForwardedHeader::XForwardedFor)]
    pub forwarded_header: ForwardedHeader,
}

impl Settings {
    /// The number of threads that serve the public API.
    pub(crate) fn threads(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// The largest number of bodies that may arrive at the same time: slow senders leave room for other requests.
    pub(crate) fn max_uploads(&self) -> usize {
        self.max_in_flight.div_ceil(2)
    }

    /// The proxies to trust.
    pub(crate) fn proxies(&self) -> &[IpNet] {
        self.trusted_proxies
            .as_ref()
            .map_or(&[], TrustedProxies::networks)
    }

    /// The limits of the connections of one thread.
    pub(crate) fn connection_limits(&self) -> Limits {
        Limits {
            max_open: self.max_connections.div_ceil(self.threads()),
            head_timeout: HEAD_TIMEOUT,
            keep_alive: self.keep_alive,
            send_timeout: self.send_timeout,
            max_age: self.max_connection_age,
        }
    }

    /// An outer timeout must outlast the inner one, or the response to the inner one is never seen:
    /// client > ingress > largest deadline ≥ deadline.
    fn check(&self, errors: &mut Errors) {
        if self.port == self.management_port && self.port != 0 {
            errors.add("management_port", "must differ from `http.port`");
        }
        if self.max_connections < self.max_in_flight {
            errors.add("max_connections", "must be at least `http.max_in_flight`");
        }
        for origin in self
            .cors_allowed_origins
            .iter()
            .filter(|origin| !is_origin(origin))
        {
            errors.add(
                "cors_allowed_origins",
                format!(
                    "`{origin}` is not an origin such as https://app.example (no path, no `/` at the end)"
                ),
            );
        }
        let request = self.body_timeout + self.max_deadline;
        errors.outlasts(
            "client_timeout",
            (self.client_timeout, self.client_timeout > request),
            ("`http.body_timeout` + `http.max_deadline`", request),
        );
        errors.outlasts(
            "keep_alive",
            (self.keep_alive, self.keep_alive > self.ingress_idle_timeout),
            ("`http.ingress_idle_timeout`", self.ingress_idle_timeout),
        );
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
    #[setting(default = 100, min = 1, max = 1_000_000)]
    pub per_second: u32,
    /// Number of requests that one subject may send in a burst.
    #[setting(default = 200, min = 1)]
    pub burst: u32,
    /// Largest share of `http.max_in_flight`, and of the bodies that may arrive at the same time, that one subject may
    /// have in a process, 0 to 1; the excess gets 429 `quota-exceeded`. 1 if there is a single client.
    #[setting(default = 0.25, above = 0.0, max = 1.0)]
    pub max_share: f32,
    /// Average number of requests per second to public operations from one IPv4 address or IPv6 /64 network, counted in
    /// each process; the excess gets 429 `quota-exceeded`. Rejected tokens count toward it, but always get 401; those above
    /// the limit are not logged.
    #[setting(default = 50, min = 1)]
    pub anonymous_per_second: u32,
    /// Number of such requests in a burst from one IPv4 address or IPv6 /64 network, counted in each
    /// process.
    #[setting(default = 100, min = 1)]
    pub anonymous_burst: u32,
    /// Fraction of a subject's quota that each process allows without Redis. Set it to 1 divided by the number of
    /// replicas.
    #[setting(default = 1.0, above = 0.0, max = 1.0)]
    pub fallback_ratio: f32,
}

impl RateLimitSettings {
    /// The share of `all` that one subject may have, at least 1.
    pub(crate) fn share_of(&self, all: usize) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a fraction of a usize is a usize"
        )]
        let share = (all as f64 * f64::from(self.max_share)).ceil() as usize;
        share.max(1)
    }
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

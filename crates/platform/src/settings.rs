//! Every key there is.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use secrecy::SecretString;

use super::{
    macros::section,
    reader::{KeyDoc, Reader},
    setting::{Setting, choice},
};
use crate::drill::Fault;

choice! {
    /// Where the service runs. Outside `development` the development secrets are refused.
    pub enum Environment {
        /// A developer's machine, and the tests.
        Development = "development",
        /// Like production, for trying releases.
        Staging = "staging",
        /// The real thing.
        Production = "production",
    }
}

choice! {
    /// How bearer tokens are signed.
    pub enum Algorithm {
        /// A shared secret.
        Hs256 = "HS256",
        /// An RSA public key.
        Rs256 = "RS256",
        /// A P-256 public key.
        Es256 = "ES256",
    }
}

choice! {
    /// The form of log lines.
    pub enum LogFormat {
        /// Pretty on a terminal, JSON elsewhere.
        Auto = "auto",
        /// One JSON object per line.
        Json = "json",
        /// For people.
        Pretty = "pretty",
    }
}

choice! {
    /// Something readiness can depend on.
    pub enum Requirement {
        /// Not ready while the database cannot be reached.
        Postgres = "postgres",
        /// Not ready while Redis cannot be reached.
        Redis = "redis",
    }
}

section! {
    /// The service itself.
    pub struct Service in "service" {
        /// Name that keeps this service apart from others: trace resource, Redis prefix, metric label.
        name: String = "service",
        /// `development`, `staging` or `production`.
        environment: Environment = "development",
    }
}

section! {
    /// The public and the management server, and the limits of a request.
    pub struct Http in "http" {
        /// Address that both servers listen on.
        host: IpAddr = "127.0.0.1",
        /// Port of the public API; 0 takes a free one.
        port: u16 = "8080",
        /// Port for probes and metrics; 0 takes a free one.
        management_port: u16 = "8081",
        /// Worker threads; 0 is one per core.
        workers: usize = "0",
        /// Time for an answer, counted from the arrival of the whole request.
        deadline: Duration = "3s",
        /// The least that a caller's `X-Request-Timeout-Ms` counts for; less would only cut connections off.
        min_deadline: Duration = "50ms",
        /// The most that a caller may ask for with `X-Request-Timeout-Ms`.
        max_deadline: Duration = "10s",
        /// What the ingress in front allows; not used, but `api check` proves that it exceeds `http.max_deadline`.
        ingress_timeout: Duration = "15s",
        /// What callers allow; not used, but `api check` proves that it exceeds `http.ingress_timeout`.
        client_timeout: Duration = "20s",
        /// Requests in flight at once; the excess gets 503 `overloaded`.
        max_in_flight: usize = "256",
        /// Connections at once; whoever comes on top waits to be accepted. Keep it below the limit of open files.
        max_connections: usize = "800",
        /// Time that an idle connection is kept. It must be longer than the ingress keeps its own, or a request meets a
        /// connection that is being closed and gets a 502 from the ingress.
        keep_alive: Duration = "75s",
        /// Largest request body.
        max_body_bytes: usize = "65536",
        /// Largest request head, below the 128 KiB at which the HTTP library answers by itself.
        max_head_bytes: usize = "16384",
        /// Time for a body to arrive.
        body_timeout: Duration = "10s",
        /// Peers whose `X-Forwarded-For` is believed, as addresses or networks.
        trusted_proxies: Vec<IpNet> = "",
    }
}

section! {
    /// Postgres.
    pub struct Database in "database" {
        /// `postgres://user:password@host:port/database`.
        url: SecretString = "",
        /// Connections for requests.
        pool_size: usize = "16",
        /// Time to get a connection. Longer is 503: `overloaded` where all are in use, else `dependency-unavailable`.
        acquire_timeout: Duration = "250ms",
        /// `statement_timeout` of every connection.
        statement_timeout: Duration = "700ms",
        /// `lock_timeout` of every connection, but for a commit, which may wait for as long as its request has time.
        lock_timeout: Duration = "500ms",
        /// `idle_in_transaction_session_timeout` of every connection.
        idle_in_transaction_timeout: Duration = "5s",
        /// A connection idle for longer is pinged before it is used again.
        ping_after_idle: Duration = "30s",
    }
}

section! {
    /// Retries of what is safe and may pass.
    pub struct Retry in "retry" {
        /// Attempts in all.
        attempts: u32 = "3",
        /// The first wait is random up to this, each further one up to twice as much.
        first_backoff: Duration = "50ms",
        /// Retries as a share of successful calls, besides one per second.
        budget: f32 = "0.1",
    }
}

section! {
    /// Redis. Nothing is lost when it is.
    pub struct Redis in "redis" {
        /// `redis://host:port`, or `rediss://host:port` with TLS.
        url: SecretString = "",
        /// Connections.
        pool_size: usize = "8",
        /// What Redis may cost one request in all.
        timeout: Duration = "100ms",
        /// Failures in a row after which it is skipped.
        breaker_failures: usize = "5",
        /// Time for which it is skipped before one call probes it.
        breaker_open: Duration = "5s",
    }
}

section! {
    /// Calls to other services, each with a breaker and a bulkhead of its own.
    pub struct Upstream in "upstream" {
        /// Time for one attempt.
        attempt_timeout: Duration = "800ms",
        /// Calls of one service in flight at once; the excess gets 503 `upstream-unavailable`.
        bulkhead: usize = "32",
        /// Largest answer that is read.
        max_response_bytes: usize = "262144",
        /// Share of failed calls that opens the breaker.
        breaker_share: f32 = "0.5",
        /// Calls below which the share says nothing.
        breaker_calls: usize = "10",
        /// Time over which calls are counted.
        breaker_window: Duration = "30s",
        /// Time, give or take a fifth, for which a service is not asked before one call probes it.
        breaker_open: Duration = "5s",
    }
}

section! {
    /// The sample third party.
    pub struct Supplier in "supplier" {
        /// Where it is.
        url: reqwest::Url = "http://127.0.0.1:8090",
    }
}

section! {
    /// Background jobs.
    pub struct Jobs in "jobs" {
        /// Jobs that one worker runs at once.
        concurrency: usize = "8",
        /// Connections for the jobs of a worker, besides those for requests.
        pool_size: usize = "8",
        /// `statement_timeout` of those connections.
        statement_timeout: Duration = "30s",
        /// Jobs that may wait; beyond that, requests that would add one get 503 `overloaded`.
        queue_limit: usize = "100000",
        /// How long finished runs are kept; dead ones stay.
        retention: Duration = "7days",
    }
}

section! {
    /// The read cache.
    pub struct Cache in "cache" {
        /// Age up to which an entry is served without asking the database.
        fresh: Duration = "30s",
        /// Age up to which an entry is served when the database cannot answer, with an `Age` header.
        stale: Duration = "5m",
        /// How long the last answer of another service is kept, to stand in for one that it cannot give.
        last_known: Duration = "24h",
        /// Cache misses that may ask the database at once; a part of `database.pool_size`, so that writes have room.
        max_loads: usize = "8",
    }
}

section! {
    /// Quotas.
    pub struct RateLimit in "rate_limit" {
        /// Requests per second of one subject.
        per_second: u32 = "100",
        /// Requests that one subject may send at once.
        burst: u32 = "200",
        /// Requests per second without a valid token, of one address, counted in this process.
        anonymous_per_second: u32 = "50",
        /// Requests without a valid token that one address may send at once.
        anonymous_burst: u32 = "100",
        /// Without Redis each process allows this fraction of a subject's quota: one over the number of replicas.
        local_share: f32 = "1.0",
    }
}

section! {
    /// Idempotency keys.
    pub struct Idempotency in "idempotency" {
        /// How long a key's answer is kept; afterwards the key is a new one.
        retention: Duration = "24h",
    }
}

section! {
    /// Bearer tokens.
    pub struct Auth in "auth" {
        /// `HS256`, `RS256` or `ES256`.
        algorithm: Algorithm = "HS256",
        /// The shared secret of HS256, at least 32 bytes.
        secret: SecretString = "development-only-secret-that-everybody-knows",
        /// The public key of RS256 or ES256, as PEM; its line breaks may be left out.
        public_key: Option<String> = "",
        /// `iss` that tokens must have; empty does not check.
        issuer: Option<String> = "",
        /// `aud` that tokens must have; empty does not check.
        audience: Option<String> = "",
    }
}

section! {
    /// What `/readyz` depends on besides this process.
    pub struct Readiness in "readiness" {
        /// `postgres`, `redis`, both or none. A shared fault that unreadies every replica turns typed 503s into connection errors.
        require: Vec<Requirement> = "",
    }
}

section! {
    /// The way out after SIGTERM.
    pub struct Shutdown in "shutdown" {
        /// From `/readyz` 503 until no more connections are accepted: time for balancers to notice.
        readiness_wait: Duration = "5s",
        /// Time for requests and commit sections to finish.
        drain: Duration = "15s",
        /// Time to hand over what telemetry holds.
        flush: Duration = "5s",
        /// The platform's grace period, not used, but `api check` proves that all of the above fits into it.
        grace: Duration = "30s",
    }
}

section! {
    /// Logs.
    pub struct Log in "log" {
        /// `auto`, `json` or `pretty`.
        format: LogFormat = "auto",
        /// What is logged, as `level` or `target=level`, with commas.
        filter: String = "info,actix_server=warn",
    }
}

section! {
    /// Traces.
    pub struct Telemetry in "telemetry" {
        /// Where spans go, as OTLP over HTTP, such as http://jaeger:4318; empty sends none.
        endpoint: Option<reqwest::Url> = "",
        /// Share of requests whose trace is kept whatever becomes of them, 0 to 1.
        sample_ratio: f32 = "0.01",
        /// Requests and jobs that fail, or take at least so long, are kept besides.
        slow: Duration = "1s",
        /// Time for one batch to be taken; then it is lost, and counted.
        export_timeout: Duration = "3s",
        /// Finished spans that wait to be sent; more are dropped, and counted.
        queue: usize = "2048",
    }
}

section! {
    /// Faults for drills.
    pub struct Faults in "faults" {
        /// Whether `PUT /faults` on the management port may make this process sick; production refuses it.
        enabled: bool = "false",
        /// A fault that is there from the start, as `PUT /faults` takes it, such as {"kind": "latency", "ms": 400}:
        /// how an image is made sick for a drill. Needs `faults.enabled`.
        start: Option<Fault> = "",
    }
}

macro_rules! settings {
    ($($field:ident: $section:ident),+ $(,)?) => {
        /// All settings.
        #[derive(Clone, Debug)]
        pub struct Settings { $( #[doc = concat!("Section `", stringify!($field), "`.")] pub $field: $section, )+ }

        impl Settings {
            pub(super) fn read(reader: &mut Reader) -> Self {
                Self { $( $field: $section::read(reader), )+ }
            }

            /// Every key there is.
            pub fn keys() -> Vec<KeyDoc> {
                [$( $section::KEYS ),+].concat()
            }
        }
    };
}

settings! {
    service: Service, http: Http, database: Database, retry: Retry, redis: Redis, upstream: Upstream,
    supplier: Supplier,
    jobs: Jobs,
    cache: Cache,
    rate_limit: RateLimit, idempotency: Idempotency, auth: Auth, readiness: Readiness,
    shutdown: Shutdown, log: Log, telemetry: Telemetry, faults: Faults,
}

//! The context of the request that is being served.

use std::{
    fmt::Display,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use resilience::{Deadline, Quota};
use tokio::sync::Notify;
use tracing::Span;

/// Work that is cut by a deadline may end this long before it.
const ABOUT_TO_PASS: Duration = Duration::from_millis(20);

/// The identity, deadline and time accounting of one request. Clones share the request.
#[derive(Clone, Debug)]
pub struct RequestContext(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    request_id: String,
    trace_id: String,
    span: Span,
    started: Instant,
    time_limit: Duration,
    deadline: Mutex<Deadline>,
    deadline_moved: Notify,
    is_short: bool,
    quiet: AtomicBool,
    attempts: AtomicU32,
    database_micros: AtomicU64,
    redis_micros: AtomicU64,
    subject: OnceLock<String>,
    idempotency_key: OnceLock<String>,
    quota: OnceLock<Quota>,
    annotations: Mutex<Vec<(&'static str, String)>>,
}

/// The time that a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimit {
    /// The time.
    pub duration: Duration,
    /// Whether the client chose it, shorter than the service can be expected to need.
    pub is_short: bool,
}

impl From<Duration> for TimeLimit {
    fn from(duration: Duration) -> Self {
        Self {
            duration,
            is_short: false,
        }
    }
}

impl RequestContext {
    /// The context of a request that starts now and may take `limit`.
    pub fn new(request_id: String, trace_id: String, span: Span, limit: impl Into<TimeLimit>) -> Self {
        let TimeLimit { duration, is_short } = limit.into();
        Self(Arc::new(Inner {
            request_id,
            trace_id,
            span,
            started: Instant::now(),
            time_limit: duration,
            deadline: Mutex::new(Deadline::after(duration)),
            deadline_moved: Notify::new(),
            is_short,
            quiet: AtomicBool::new(false),
            attempts: AtomicU32::new(0),
            database_micros: AtomicU64::new(0),
            redis_micros: AtomicU64::new(0),
            subject: OnceLock::new(),
            idempotency_key: OnceLock::new(),
            quota: OnceLock::new(),
            annotations: Mutex::default(),
        }))
    }

    /// The request id, as known to the client, the logs and other services.
    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// The W3C trace id, 32 hex digits.
    pub fn trace_id(&self) -> &str {
        &self.0.trace_id
    }

    /// The W3C `traceparent` of the request, for work that runs later.
    pub fn traceparent(&self) -> Option<String> {
        telemetry::traceparent(&self.0.span)
    }

    /// The request's span, for work in another task.
    pub fn span(&self) -> Span {
        self.0.span.clone()
    }

    /// The time since the request arrived.
    pub fn elapsed(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// The deadline of the response.
    pub fn deadline(&self) -> Deadline {
        *self.0.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Extends the deadline by `limit` for `body` to arrive, and by the time that it actually took once it has arrived:
    /// that time belongs to the client.
    pub async fn await_body<F: Future>(&self, limit: Duration, body: F) -> F::Output {
        let time_left = self.deadline().remaining();
        self.set_deadline(Deadline::after(limit + time_left));
        let body = body.await;
        self.set_deadline(Deadline::after(time_left));
        body
    }

    /// Whether a client that disconnects now gave up waiting: the service has worked on the request for `threshold`, or for
    /// the whole time that the client allowed, unless that was too short. The time in which the body arrived is the
    /// client's own.
    pub fn client_gave_up(&self, threshold: Duration) -> bool {
        let worked = self.0.time_limit.saturating_sub(self.deadline().remaining());
        // A client stops waiting at its deadline, and some clocks are fast.
        !self.0.is_short && worked + ABOUT_TO_PASS >= threshold.min(self.0.time_limit)
    }

    /// Whether the client's own short deadline has passed or is about to.
    pub fn client_deadline_passed(&self) -> bool {
        self.0.is_short && self.deadline().remaining() <= ABOUT_TO_PASS
    }

    /// Leaves the request out of the log and of the kept traces, because one like it is recorded already. Metrics count
    /// it.
    pub fn set_quiet(&self) {
        self.0.quiet.store(true, Ordering::Relaxed);
    }

    /// Whether the request is left out of the log and of the kept traces.
    pub fn is_quiet(&self) -> bool {
        self.0.quiet.load(Ordering::Relaxed)
    }

    fn set_deadline(&self, deadline: Deadline) {
        *self.0.deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
        self.0.deadline_moved.notify_one();
    }

    /// Waits until the deadline has changed; a change since the last call counts. For a single waiter.
    pub async fn deadline_moved(&self) {
        self.0.deadline_moved.notified().await;
    }

    /// Counts one attempt of a call to a dependency.
    pub fn count_attempt(&self) {
        self.0.attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of attempts of calls to dependencies so far.
    pub fn attempts(&self) -> u32 {
        self.0.attempts.load(Ordering::Relaxed)
    }

    /// Starts a timer for time spent on the database, which runs until it is dropped. That time includes the wait for a
    /// connection, statements, retries and backoff.
    pub fn time_database(&self) -> DatabaseTimer {
        DatabaseTimer {
            context: self.clone(),
            began: Instant::now(),
            took: None,
        }
    }

    /// The time spent on the database so far. Concurrent calls add up, so it can exceed the duration of the request.
    pub fn database_time(&self) -> Duration {
        Duration::from_micros(self.0.database_micros.load(Ordering::Relaxed))
    }

    /// The rest of the request's `time_budget` for Redis; zero when Redis must not be called again.
    pub fn redis_time_left(&self, time_budget: Duration) -> Duration {
        time_budget.saturating_sub(Duration::from_micros(self.0.redis_micros.load(Ordering::Relaxed)))
    }

    /// Records time spent on Redis.
    pub fn spent_on_redis(&self, spent: Duration) {
        self.0.redis_micros.fetch_add(micros(spent), Ordering::Relaxed);
    }

    /// Adds an id, under a key such as `order.id`, to the request's log line and span, so that both can be found by it.
    /// Never personal data. Call it once per key: a second id does not replace the first.
    pub fn annotate(&self, key: &'static str, id: impl Display) {
        let id = id.to_string();
        telemetry::annotate(&self.0.span, key, &id);
        let mut annotations = self.0.annotations.lock().unwrap_or_else(PoisonError::into_inner);
        annotations.push((key, id));
    }

    /// The annotations as `key=id`, separated by spaces; `None` if there are none.
    pub fn about(&self) -> Option<String> {
        let annotations = self.0.annotations.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs: Vec<String> = annotations
            .iter()
            .map(|(key, id)| format!("{key}={id}"))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join(" "))
    }

    /// Sets the hashed subject of the caller, for the log. Only the first call has an effect.
    pub fn set_subject(&self, hashed: String) {
        let _ = self.0.subject.set(hashed);
    }

    /// The hashed subject of the caller.
    pub fn subject(&self) -> Option<&str> {
        self.0.subject.get().map(String::as_str)
    }

    /// Sets the keyed hash of the idempotency key, for the log. Only the first call has an effect.
    pub fn set_idempotency_key(&self, hashed: String) {
        let _ = self.0.idempotency_key.set(hashed);
    }

    /// The keyed hash of the idempotency key.
    pub fn idempotency_key(&self) -> Option<&str> {
        self.0.idempotency_key.get().map(String::as_str)
    }

    /// Sets the state of the caller's quota, which every response carries. Only the first call has an effect.
    pub fn set_quota(&self, quota: Quota) {
        let _ = self.0.quota.set(quota);
    }

    /// The state of the caller's quota.
    pub fn quota(&self) -> Option<Quota> {
        self.0.quota.get().copied()
    }
}

/// A timer that adds the time until it is dropped to the database time of its request.
#[derive(Debug)]
pub struct DatabaseTimer {
    context: RequestContext,
    began: Instant,
    took: Option<Duration>,
}

impl DatabaseTimer {
    /// Stops the timer and adds `took` instead of the measured time.
    pub fn stopped_after(mut self, took: Duration) {
        self.took = Some(took);
    }
}

impl Drop for DatabaseTimer {
    fn drop(&mut self) {
        let took = self.took.unwrap_or_else(|| self.began.elapsed());
        let micros = micros(took);
        self.context
            .0
            .database_micros
            .fetch_add(micros, Ordering::Relaxed);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

//! What is known about the request that is being served.

use std::{
    fmt::Display,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use resilience::{Deadline, Quota};
use tokio::sync::Notify;
use tracing::Span;

/// Identity, time and accounts of one request. Clones are the same request.
#[derive(Clone, Debug)]
pub struct RequestContext(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    request_id: String,
    trace_id: String,
    span: Span,
    started: Instant,
    time_allowed: Duration,
    deadline: Mutex<Deadline>,
    deadline_moved: Notify,
    attempts: AtomicU32,
    database_micros: AtomicU64,
    redis_micros: AtomicU64,
    subject: OnceLock<String>,
    quota: OnceLock<Quota>,
    annotations: Mutex<Vec<(&'static str, String)>>,
}

impl RequestContext {
    /// A request that starts now and may take `time_allowed`.
    pub fn new(request_id: String, trace_id: String, span: Span, time_allowed: Duration) -> Self {
        Self(Arc::new(Inner {
            request_id,
            trace_id,
            span,
            started: Instant::now(),
            time_allowed,
            deadline: Mutex::new(Deadline::after(time_allowed)),
            deadline_moved: Notify::new(),
            attempts: AtomicU32::new(0),
            database_micros: AtomicU64::new(0),
            redis_micros: AtomicU64::new(0),
            subject: OnceLock::new(),
            quota: OnceLock::new(),
            annotations: Mutex::default(),
        }))
    }

    /// The id that caller, logs and other services know this request by.
    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// The W3C trace id, 32 hex digits.
    pub fn trace_id(&self) -> &str {
        &self.0.trace_id
    }

    /// The W3C `traceparent` of the request, for work that is done later.
    pub fn traceparent(&self) -> Option<String> {
        telemetry::traceparent(&self.0.span)
    }

    /// The request's span, for work that goes on in another task.
    pub fn span(&self) -> Span {
        self.0.span.clone()
    }

    /// Time since the request arrived.
    pub fn elapsed(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// When the answer is due.
    pub fn deadline(&self) -> Deadline {
        *self.0.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body is awaited for up to `limit`: that is the caller's time, not ours.
    pub fn await_body(&self, limit: Duration) {
        self.set_deadline(Deadline::after(limit + self.0.time_allowed));
    }

    /// The whole request has arrived; from here our time counts.
    pub fn body_arrived(&self) {
        self.set_deadline(Deadline::after(self.0.time_allowed));
    }

    fn set_deadline(&self, deadline: Deadline) {
        *self.0.deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
        self.0.deadline_moved.notify_one();
    }

    /// Waits until the deadline is another one; a change since the last call counts. For one waiter.
    pub async fn deadline_moved(&self) {
        self.0.deadline_moved.notified().await;
    }

    /// Counts one attempt at a dependency.
    pub fn count_attempt(&self) {
        self.0.attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// Attempts at dependencies so far.
    pub fn attempts(&self) -> u32 {
        self.0.attempts.load(Ordering::Relaxed)
    }

    /// Counts time spent on the database, until the timer is dropped: the wait for a connection, statements, retries and
    /// the pauses between them.
    pub fn time_database(&self) -> DatabaseTimer {
        DatabaseTimer {
            context: self.clone(),
            began: Instant::now(),
            took: None,
        }
    }

    /// Time spent on the database so far. Calls at the same time count each, so it can be more than the request took.
    pub fn database_time(&self) -> Duration {
        Duration::from_micros(self.0.database_micros.load(Ordering::Relaxed))
    }

    /// What is left of `allowance` for Redis in this request; zero where Redis must not be called any more.
    pub fn redis_time_left(&self, allowance: Duration) -> Duration {
        allowance.saturating_sub(Duration::from_micros(self.0.redis_micros.load(Ordering::Relaxed)))
    }

    /// Charges time spent on Redis.
    pub fn spent_on_redis(&self, spent: Duration) {
        self.0
            .redis_micros
            .fetch_add(spent.as_micros() as u64, Ordering::Relaxed);
    }

    /// Says what this request is about, so that its log line and its span are found by it: an id, under a key such as
    /// `order.id`. Never personal data. Call it once for a key: a second id of the same key stands beside the first.
    pub fn annotate(&self, key: &'static str, id: impl Display) {
        let id = id.to_string();
        telemetry::annotate(&self.0.span, key, &id);
        let mut annotations = self.0.annotations.lock().unwrap_or_else(PoisonError::into_inner);
        annotations.push((key, id));
    }

    /// What was annotated, as `key=id`; none where nothing was.
    pub fn about(&self) -> Option<String> {
        let annotations = self.0.annotations.lock().unwrap_or_else(PoisonError::into_inner);
        let words: Vec<String> = annotations
            .iter()
            .map(|(key, id)| format!("{key}={id}"))
            .collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// Remembers who calls, hashed, for the log. The first call decides.
    pub fn set_subject(&self, hashed: String) {
        let _ = self.0.subject.set(hashed);
    }

    /// Who calls, hashed.
    pub fn subject(&self) -> Option<&str> {
        self.0.subject.get().map(String::as_str)
    }

    /// Remembers the state of the caller's quota, which every response carries. The first call decides.
    pub fn set_quota(&self, quota: Quota) {
        let _ = self.0.quota.set(quota);
    }

    /// The state of the caller's quota.
    pub fn quota(&self) -> Option<Quota> {
        self.0.quota.get().copied()
    }
}

/// Adds the time until it is dropped to the database time of its request.
#[derive(Debug)]
pub struct DatabaseTimer {
    context: RequestContext,
    began: Instant,
    took: Option<Duration>,
}

impl DatabaseTimer {
    /// Adds this time instead.
    pub fn stopped_after(mut self, took: Duration) {
        self.took = Some(took);
    }
}

impl Drop for DatabaseTimer {
    fn drop(&mut self) {
        let took = self.took.unwrap_or_else(|| self.began.elapsed());
        let micros = took.as_micros() as u64;
        self.context
            .0
            .database_micros
            .fetch_add(micros, Ordering::Relaxed);
    }
}

//! The state of one connection, shared by its socket, its requests and the task that enforces the limits.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use crate::{Limits, metrics::Reason};

/// A connection, as its requests see it. Clones share the state.
#[derive(Clone, Debug)]
pub struct Connection(Rc<State>);

#[derive(Debug)]
struct State {
    opened: Instant,
    longest_age: Duration,
    /// Whether the connection has had a request.
    used: Cell<bool>,
    /// Whether a request is being served.
    busy: Cell<bool>,
    /// Since the last response, or since the first byte of the head that is arriving.
    waiting_since: Cell<Instant>,
    head_arriving: Cell<bool>,
    /// Since the client stopped accepting the response.
    send_blocked_since: Cell<Option<Instant>>,
    closing: Cell<bool>,
    /// Wakes the task of the connection.
    waker: RefCell<Option<Waker>>,
}

/// A request that is being served on its connection, until this is dropped.
#[derive(Debug)]
#[must_use = "the request counts as served when this is dropped"]
pub struct Busy(Connection);

impl Drop for Busy {
    fn drop(&mut self) {
        let state = &self.0.0;
        state.busy.set(false);
        state.head_arriving.set(false);
        state.waiting_since.set(Instant::now());
    }
}

impl Connection {
    pub(crate) fn new(longest_age: Duration) -> Self {
        let now = Instant::now();
        Self(Rc::new(State {
            opened: now,
            longest_age,
            used: Cell::default(),
            busy: Cell::default(),
            waiting_since: Cell::new(now),
            head_arriving: Cell::default(),
            send_blocked_since: Cell::default(),
            closing: Cell::default(),
            waker: RefCell::default(),
        }))
    }

    /// Marks the connection as serving a request. Keep the result until the response is complete.
    pub fn serve(&self) -> Busy {
        self.0.used.set(true);
        self.0.busy.set(true);
        Busy(self.clone())
    }

    /// Whether the connection is so old that its next response must be the last one, so that clients spread over new
    /// replicas.
    pub fn is_old(&self) -> bool {
        self.0.opened.elapsed() >= self.0.longest_age
    }

    /// The time at which the connection began to wait for the client; `None` while it serves a request, or while the
    /// client has not yet accepted the whole response.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        let serving = self.0.busy.get() || self.0.send_blocked_since.get().is_some();
        (!serving).then(|| self.0.waiting_since.get())
    }

    /// Why the connection must be closed now, if it must.
    pub(crate) fn overdue(&self, limits: &Limits, now: Instant) -> Option<Reason> {
        let state = &self.0;
        if let Some(since) = state.send_blocked_since.get() {
            return (now.duration_since(since) >= limits.send_timeout).then_some(Reason::Send);
        }
        // The HTTP library limits the time for the first head, and responds with 408.
        if state.busy.get() || !state.used.get() {
            return None;
        }
        let (limit, reason) = if state.head_arriving.get() {
            (limits.head_timeout, Reason::Head)
        } else {
            (limits.keep_alive, Reason::Idle)
        };
        (now.duration_since(state.waiting_since.get()) >= limit).then_some(reason)
    }

    /// Closes the connection: its socket behaves as if the client had closed it.
    pub(crate) fn close(&self) {
        self.0.closing.set(true);
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.0.closing.get()
    }

    /// Bytes have arrived.
    pub(crate) fn received(&self) {
        let state = &self.0;
        if !state.busy.get() && !state.head_arriving.replace(true) {
            state.waiting_since.set(Instant::now());
        }
    }

    /// The client accepted a part of the response, or did not.
    pub(crate) fn sent(&self, accepted: bool) {
        let state = &self.0;
        if accepted {
            state.send_blocked_since.set(None);
        } else if state.send_blocked_since.get().is_none() {
            state.send_blocked_since.set(Some(Instant::now()));
        }
    }

    /// Remembers the task that waits for the socket.
    pub(crate) fn wake_with(&self, context: &Context<'_>) {
        let mut waker = self.0.waker.borrow_mut();
        if !waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(context.waker()))
        {
            *waker = Some(context.waker().clone());
        }
    }
}

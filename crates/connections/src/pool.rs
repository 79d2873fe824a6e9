//! All connections of one serving thread.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::net::TcpStream;

use crate::{Connection, ConnectionMetrics, Heartbeat, Stream, metrics::Reason};

/// How often the limits are checked.
const INTERVAL: Duration = Duration::from_millis(250);

/// How much the longest age of connections differs, so that those opened together do not end together.
const AGE_JITTER: f64 = 0.1;

/// The limits of the connections of one thread.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The maximum number of open connections. The thread may exceed it while all of them serve requests.
    pub max_open: usize,
    /// The longest time for a head to arrive, from its first byte.
    pub head_timeout: Duration,
    /// The longest time between two requests.
    pub keep_alive: Duration,
    /// The longest time for the client to accept any part of a response.
    pub send_timeout: Duration,
    /// The age, ±10 %, at which a response becomes the last one of its connection.
    pub max_age: Duration,
}

/// The connections of one thread. Clones share them.
#[derive(Clone, Debug)]
pub struct Connections(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    metrics: ConnectionMetrics,
    open: RefCell<HashMap<u64, Connection>>,
    next_id: Cell<u64>,
}

/// Counts a connection as open until it is dropped.
#[derive(Debug)]
pub(crate) struct Membership {
    connections: Connections,
    id: u64,
}

impl Drop for Membership {
    fn drop(&mut self) {
        let inner = &self.connections.0;
        inner.open.borrow_mut().remove(&self.id);
        inner.metrics.ended();
    }
}

impl Connections {
    /// No connections yet.
    pub fn new(limits: Limits, metrics: ConnectionMetrics) -> Self {
        Self(Rc::new(Inner {
            limits,
            metrics,
            open: RefCell::default(),
            next_id: Cell::default(),
        }))
    }

    /// Enforces the limits and shows that this thread makes progress, for as long as the thread runs.
    pub async fn supervise(self, heartbeat: Heartbeat) {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            heartbeat.beat();
            self.close_overdue();
        }
    }

    /// Takes a connection in. At the limit, it replaces the one that has been idle longest.
    pub fn accept(&self, socket: TcpStream) -> Stream {
        // A response must not wait for the acknowledgement of its first part.
        let _ = socket.set_nodelay(true);
        let inner = &self.0;
        let jitter = 1.0 + AGE_JITTER * (2.0 * fastrand::f64() - 1.0);
        let connection = Connection::new(inner.limits.max_age.mul_f64(jitter));
        let id = inner.next_id.replace(inner.next_id.get() + 1);
        inner.metrics.opened();
        self.close_excess(1);
        inner.open.borrow_mut().insert(id, connection.clone());
        let membership = Membership {
            connections: self.clone(),
            id,
        };
        Stream::new(socket, connection, membership)
    }

    /// Closes idle connections, longest idle first, until `arriving` more fit.
    fn close_excess(&self, arriving: usize) {
        let open = self.0.open.borrow();
        let Some(mut excess) = (open.len() + arriving).checked_sub(self.0.limits.max_open) else {
            return;
        };
        excess = excess.saturating_sub(open.values().filter(|one| one.is_closing()).count());
        if excess == 0 {
            return;
        }
        let idle = |one: &Connection| Some((one.waiting_since()?, one.clone()));
        let mut idle: Vec<_> = open
            .values()
            .filter(|one| !one.is_closing())
            .filter_map(idle)
            .collect();
        idle.sort_by_key(|(since, _)| *since);
        for (_, connection) in idle.into_iter().take(excess) {
            self.close(&connection, Reason::Limit);
        }
    }

    fn close_overdue(&self) {
        let now = Instant::now();
        for connection in self.0.open.borrow().values() {
            if !connection.is_closing()
                && let Some(reason) = connection.overdue(&self.0.limits, now)
            {
                self.close(connection, reason);
            }
        }
        self.close_excess(0);
    }

    fn close(&self, connection: &Connection, reason: Reason) {
        self.0.metrics.closed(reason);
        connection.close();
    }
}

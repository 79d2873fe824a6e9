//! From start to end of a process, the same for the binary and the tests.

use std::time::Duration;

use actix_web::web::Data;
use resilience::Deadline;

use crate::{
    Platform, Service,
    config::Settings,
    http::{Running, listen_management, listen_public},
    jobs::Worker,
    lifecycle::Phase,
    postgres::SchemaState,
};

/// How often a start that waits for its database looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serves the API.
    Api,
    /// Works off jobs.
    Worker,
    /// Both, for development.
    Both,
}

/// A service that runs.
#[derive(Debug)]
pub struct App {
    /// The public API, where this process serves it.
    pub public: Option<Running>,
    /// Probes and metrics.
    pub management: Running,
    /// What the layers share.
    pub platform: Data<Platform>,
    worker: Option<Worker>,
}

impl App {
    /// Starts at once; `/startupz` follows when the database is there and its schema new enough.
    ///
    /// # Errors
    /// When a setting cannot be used or a port is taken.
    pub fn start(settings: Settings, service: Service, role: Role) -> anyhow::Result<Self> {
        let platform = Platform::new(settings, service)?;
        if let Some(fault) = platform.settings.faults.start.clone() {
            platform.drill.switch_on(fault);
        }
        let management = listen_management(platform.clone())?;
        let serve = || listen_public(platform.clone(), service.configure);
        let public = (role != Role::Worker).then(serve).transpose()?;
        let work = || Worker::start(platform.clone());
        let worker = (role != Role::Api).then(work).transpose()?;
        tokio::spawn(complete_start(platform.clone()));
        let counting = platform.queue.clone();
        tokio::spawn(counting.keep_counting(platform.checks.clone(), platform.metrics.clone()));
        Ok(Self {
            public,
            management,
            platform,
            worker,
        })
    }

    /// Leaves without failing a request that was accepted: not ready → wait for the balancers → stop
    /// accepting → finish requests, commit sections and jobs → close pools. Each step is bounded.
    pub async fn shut_down(self) {
        let (lifecycle, limits) = (&self.platform.lifecycle, self.platform.settings.shutdown.clone());
        tracing::info!("leaving: not ready any more");
        lifecycle.advance(Phase::Leaving);
        // One limit for all that was accepted: `api check` adds it up once.
        let drain = Deadline::after(limits.readiness_wait + limits.drain);
        let stop_worker = async {
            if let Some(worker) = self.worker {
                worker.stop().await;
            }
        };
        let stop_serving = async {
            if let Some(public) = self.public {
                tokio::time::sleep(limits.readiness_wait).await;
                tracing::info!(at_most = ?limits.drain, "draining: finishing what was accepted");
                lifecycle.advance(Phase::Draining);
                if drain.bound(public.stop()).await.is_err() {
                    tracing::warn!("some requests did not finish in time");
                }
            }
        };
        tokio::join!(stop_worker, stop_serving);
        if !lifecycle.finish_commit_sections(drain.remaining()).await {
            tracing::warn!("some commit sections did not finish in time");
        }
        self.platform.close();
        self.management.stop().await;
        tracing::info!("stopped");
    }
}

/// Waits until the schema is new enough; says why when the reason changes.
async fn complete_start(platform: Data<Platform>) {
    let mut last_reason = String::new();
    loop {
        let reason = match platform.schema_state().await {
            Ok(SchemaState::NewEnough) => break,
            Ok(SchemaState::TooOld { found, needed }) => {
                format!(
                    "the schema is too old: found {}, needed {needed}; run `api migrate`",
                    found.unwrap_or(0)
                )
            }
            Err(fault) => format!("the database is not there yet: {fault:?}"),
        };
        if reason != last_reason {
            tracing::warn!(reason, "not started yet");
            last_reason = reason;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    // The first request finds a connection, however long it takes to open one.
    while platform.database.ping(LOOK_AGAIN).await.is_err() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    platform.lifecycle.set_started();
    tracing::info!("started");
}

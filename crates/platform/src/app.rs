//! From start to end of a process, the same for the binary and the tests.

use std::{sync::Arc, time::Duration};

use actix_web::web::Data;
use auth::Authenticator;
use database::{SchemaState, idempotency};
use http_server::{RateLimiter, Running, Shared, drill::Drill, listen_public};
use management::Management;
use resilience::Deadline;
use runtime::Phase;

use crate::{Definition, Platform, Service, Settings};

/// How often a start that waits for its database looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serves the API.
    Api,
    /// Works off jobs.
    #[cfg(feature = "jobs")]
    Worker,
    /// Both, for development.
    #[cfg(feature = "jobs")]
    Both,
}

impl Role {
    fn serves(self) -> bool {
        self == Self::Api || self.is_both()
    }

    #[cfg(feature = "jobs")]
    fn is_both(self) -> bool {
        self == Self::Both
    }

    #[cfg(not(feature = "jobs"))]
    fn is_both(self) -> bool {
        false
    }
}

/// A service that runs, with its state `S`.
#[derive(Debug)]
pub struct App<S> {
    /// The public API, where this process serves it.
    pub public: Option<Running>,
    /// Probes and metrics.
    pub management: Running,
    /// The parts of this process.
    pub platform: Arc<Platform>,
    /// What the layers of a request share.
    pub shared: Arc<Shared>,
    /// What handlers and jobs work with.
    pub state: Arc<S>,
    #[cfg(feature = "jobs")]
    worker: Option<jobs::Worker>,
}

impl<S: Send + Sync + 'static> App<S> {
    /// Starts at once; `/startupz` follows when the database is there and its schema new enough.
    ///
    /// # Errors
    /// When a setting cannot be used, the state cannot be made, a port is taken, or the role needs jobs that the service
    /// does not have.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn start<C: AsRef<Settings>>(
        settings: &C,
        service: &Service<C, S>,
        role: Role,
    ) -> anyhow::Result<Self> {
        let platform = Arc::new(Platform::new(settings.as_ref(), &service.definition)?);
        let state = Arc::new((service.state)(settings, &platform)?);
        let settings = settings.as_ref();
        let shared = Arc::new(shared(&platform, &service.definition)?);
        shared.announce();
        if let Some(fault) = settings.faults.start.clone() {
            shared.drill.switch_on(fault);
        }
        #[cfg(feature = "jobs")]
        let working: Working = (role != Role::Api).then(Arc::default);
        let management = Management {
            info: platform.info.clone(),
            lifecycle: platform.lifecycle.clone(),
            metrics: platform.metrics.clone(),
            before_scrape: {
                let platform = platform.clone();
                Box::new(move || platform.update_metrics())
            },
            dependencies: platform.dependencies(),
            require: settings.readiness.require.clone(),
            #[cfg(feature = "jobs")]
            working: working.clone(),
            #[cfg(not(feature = "jobs"))]
            working: None,
            in_flight: shared.in_flight.clone(),
            drill: shared.drill.clone(),
            faults_enabled: settings.faults.enabled,
        };
        let management = management::listen(&settings.http, Data::new(management))?;
        let serve = || listen_public(shared.clone().into(), state.clone().into(), &settings.shutdown);
        let public = role.serves().then(serve).transpose()?;
        // Only now: a process that cannot listen must not claim a job first.
        #[cfg(feature = "jobs")]
        let worker = worker(&platform, service, state.clone(), working)?;
        tokio::spawn(run_in_background(platform.clone(), service.definition));
        Ok(Self {
            public,
            management,
            shared,
            state,
            platform,
            #[cfg(feature = "jobs")]
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
            #[cfg(feature = "jobs")]
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

/// What the layers of a request share.
fn shared(platform: &Platform, definition: &Definition) -> anyhow::Result<Shared> {
    let settings = &platform.settings;
    let contract = definition.contract();
    let [in_flight, uploads] = Shared::permits(&settings.http);
    let limiter = RateLimiter::new(&settings.rate_limit);
    #[cfg(feature = "cache")]
    let limiter = match &platform.redis {
        Some(redis) => {
            let (service, limits) = (&settings.service.name, &settings.rate_limit);
            limiter.shared(cache::SharedQuota::new(
                service,
                limits.per_second,
                limits.burst,
                redis.clone(),
            ))
        }
        None => limiter,
    };
    Ok(Shared {
        settings: settings.http.clone(),
        traces: settings.telemetry.clone(),
        info: platform.info.clone(),
        catalogue: definition.catalogue,
        openapi: serde_json::to_string(&contract.document())?,
        operations: contract.operations(),
        lifecycle: platform.lifecycle.clone(),
        metrics: platform.http_metrics.clone(),
        limiter,
        authenticator: Authenticator::new(&settings.auth)?,
        in_flight,
        uploads,
        drill: Drill::default(),
        #[cfg(feature = "jobs")]
        jobs: definition.jobs.then(|| platform.database.clone()),
    })
}

#[cfg(feature = "jobs")]
type Working = Option<Arc<std::sync::atomic::AtomicBool>>;

/// The worker of this process; none where it only serves.
#[cfg(feature = "jobs")]
fn worker<C, S: Send + Sync + 'static>(
    platform: &Platform,
    service: &Service<C, S>,
    state: Arc<S>,
    working: Working,
) -> anyhow::Result<Option<jobs::Worker>> {
    if !service.definition.jobs {
        anyhow::ensure!(working.is_none(), "this service has no jobs, and so no worker");
        return Ok(None);
    }
    let settings = &platform.settings;
    let own = jobs::HOUSEKEEPING
        .iter()
        .map(|kind| kind.bind(Arc::new(settings.jobs.clone())));
    let kinds: Vec<jobs::BoundKind> = service
        .kinds
        .iter()
        .map(|kind| kind.bind(state.clone()))
        .chain(own)
        .collect();
    kinds
        .iter()
        .for_each(|kind| platform.job_metrics.announce(kind.name()));
    let counting = platform.queue.clone();
    tokio::spawn(counting.keep_counting(platform.checks.clone(), platform.job_metrics.clone()));
    let Some(working) = working else {
        return Ok(None);
    };
    let worker = jobs::Worker::start(jobs::WorkerParts {
        settings: settings.jobs.clone(),
        connection: settings.database.clone(),
        database: platform.jobs_database.clone(),
        checks: platform.checks.clone(),
        schema: service.definition.schema,
        kinds,
        drain: settings.shutdown.drain,
        metrics: platform.job_metrics.clone(),
        working,
    })?;
    Ok(Some(worker))
}

async fn run_in_background(platform: Arc<Platform>, definition: Definition) {
    complete_start(&platform).await;
    // Where there are jobs, one of them does it.
    if !definition.jobs {
        idempotency::keep_clearing(&platform.checks).await;
    }
}

/// Waits until the schema is new enough; says why when the reason changes.
async fn complete_start(platform: &Platform) {
    let mut last_reason = String::new();
    loop {
        let reason = match platform.schema_state().await {
            Ok(SchemaState::NewEnough) => break,
            Ok(SchemaState::TooOld(behind)) => format!("the schema is too old: {behind}"),
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

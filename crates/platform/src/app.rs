//! Start-up and shutdown of a process, the same in the binary and in tests.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use actix_web::web::Data;
use auth::Authenticator;
use database::{DatabaseError, SchemaState, idempotency};
use http_server::{RateLimiter, Server, Shared, fault_injection::FaultInjection, listen_public};
use management::Management;
use resilience::Deadline;
use runtime::Phase;

use crate::{Platform, Service, ServiceDefinition, Settings, rules};

/// The interval at which a starting process checks its database again.
const STARTUP_CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The role of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serves the API.
    Api,
    /// Runs jobs.
    #[cfg(feature = "jobs")]
    Worker,
    /// Serves the API and runs jobs, for development.
    #[cfg(feature = "jobs")]
    All,
}

impl Role {
    fn serves(self) -> bool {
        self == Self::Api || self.is_all()
    }

    #[cfg(feature = "jobs")]
    fn is_all(self) -> bool {
        self == Self::All
    }

    #[cfg(not(feature = "jobs"))]
    #[expect(clippy::unused_self, reason = "as with jobs")]
    fn is_all(self) -> bool {
        false
    }
}

/// A running service with the state `S`.
#[derive(Debug)]
pub struct App<S> {
    /// The public server; `None` if this process only runs jobs.
    pub public: Option<Server>,
    /// The management server.
    pub management: Server,
    /// The parts of this process that do not depend on the service's types.
    pub platform: Arc<Platform>,
    /// The state that the layers of a request share.
    pub shared: Arc<Shared>,
    /// The state that handlers and jobs use.
    pub state: Arc<S>,
    #[cfg(feature = "jobs")]
    worker: Option<jobs::Worker>,
}

impl<S: Send + Sync + 'static> App<S> {
    /// Starts the process without waiting for the database; `/startupz` succeeds once the database is available and its
    /// schema is new enough.
    ///
    /// # Errors
    /// When a setting cannot be used, the state cannot be built, a port is taken, or the role needs jobs and the
    /// service has none.
    ///
    /// # Panics
    /// When called outside a Tokio runtime.
    pub fn start<C: AsRef<Settings>>(
        settings: &C,
        service: &Service<C, S>,
        role: Role,
    ) -> anyhow::Result<Self> {
        let platform = Arc::new(Platform::new(settings.as_ref(), &service.definition)?);
        let state = Arc::new((service.state)(settings, &platform)?);
        let settings = settings.as_ref();
        platform.check_upstreams().0.ensure_none()?;
        let shared = Arc::new(shared(&platform, &service.definition)?);
        shared.announce();
        if let Some(fault) = settings.faults.at_startup.clone() {
            shared.fault_injection.switch_on(fault);
        }
        #[cfg(feature = "jobs")]
        let working: Working = (role != Role::Api).then(Arc::default);
        let management = Management {
            info: platform.info.clone(),
            catalogue: service.definition.catalogue,
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
            heartbeats: platform.heartbeats.clone(),
            in_flight: shared.in_flight.clone(),
            fault_injection: shared.fault_injection.clone(),
            faults_enabled: settings.faults.enabled,
        };
        let management = management::listen(&settings.http, Data::new(management))?;
        let serve = || listen_public(shared.clone().into(), state.clone().into(), &settings.shutdown);
        let public = role.serves().then(serve).transpose()?;
        // Last, because a process that cannot listen must not claim a job first.
        #[cfg(feature = "jobs")]
        let worker = worker(&platform, service, &state, working)?;
        #[expect(clippy::disallowed_methods, reason = "it loses nothing when the process ends")]
        tokio::spawn(run_in_background(platform.clone(), service.definition, role));
        Ok(Self {
            public,
            management,
            platform,
            shared,
            state,
            #[cfg(feature = "jobs")]
            worker,
        })
    }

    /// Shuts down gracefully, without failing an accepted request: withdraw readiness → wait for load balancers → stop
    /// accepting → finish requests, critical sections and jobs → close pools. Each step has a time limit.
    pub async fn shutdown(self) {
        let (lifecycle, limits) = (&self.platform.lifecycle, self.platform.settings.shutdown.clone());
        tracing::info!("shutting down: readiness withdrawn");
        lifecycle.advance(Phase::Terminating);
        // One limit for everything that was accepted: `api check` counts it once.
        let drain = Deadline::after(limits.deregistration_delay + limits.drain_timeout);
        let stop_worker = async {
            #[cfg(feature = "jobs")]
            if let Some(worker) = self.worker {
                worker.stop().await;
            }
        };
        let stop_serving = async {
            if let Some(public) = self.public {
                tokio::time::sleep(limits.deregistration_delay).await;
                tracing::info!(at_most = ?limits.drain_timeout, "draining: finishing accepted requests");
                lifecycle.advance(Phase::Draining);
                if drain.timeout(public.stop()).await.is_err() {
                    tracing::warn!("some requests did not finish in time");
                }
            }
        };
        tokio::join!(stop_worker, stop_serving);
        if !lifecycle.drain(drain.remaining()).await {
            tracing::warn!("some critical sections did not finish in time");
        }
        self.platform.close();
        self.management.stop().await;
        tracing::info!("stopped");
    }
}

/// The state that the layers of a request share.
fn shared(platform: &Platform, definition: &ServiceDefinition) -> anyhow::Result<Shared> {
    let settings = &platform.settings;
    let contract = definition.contract();
    let [in_flight, uploads] = Shared::permits(&settings.http);
    let [subject_in_flight, subject_uploads] = Shared::subject_permits(&settings.http, &settings.rate_limit);
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
        openapi: serde_json::to_string(&contract.document(&settings.service.name))?,
        operations: contract.operations(),
        lifecycle: platform.lifecycle.clone(),
        metrics: platform.http_metrics.clone(),
        connections: platform.connection_metrics.clone(),
        heartbeats: platform.heartbeats.clone(),
        limiter,
        authenticator: Authenticator::new(
            &settings.auth,
            settings.http.max_in_flight.div_ceil(2),
            &platform.lifecycle,
            platform.metrics.dependencies.clone(),
        )?,
        in_flight,
        uploads,
        subject_in_flight,
        subject_uploads,
        shed: AtomicU64::new(0),
        fault_injection: FaultInjection::default(),
        #[cfg(feature = "jobs")]
        jobs: definition.jobs.then(|| platform.database.clone()),
    })
}

#[cfg(feature = "jobs")]
type Working = Option<Arc<std::sync::atomic::AtomicBool>>;

/// The worker of this process; `None` if the process only serves the API.
#[cfg(feature = "jobs")]
fn worker<C, S: Send + Sync + 'static>(
    platform: &Platform,
    service: &Service<C, S>,
    state: &Arc<S>,
    working: Working,
) -> anyhow::Result<Option<jobs::Worker>> {
    if !service.definition.jobs {
        anyhow::ensure!(
            working.is_none(),
            "this service has no jobs and therefore no worker"
        );
        return Ok(None);
    }
    let settings = &platform.settings;
    let maintenance = Arc::new(jobs::Maintenance {
        settings: settings.jobs.clone(),
        metrics: platform.job_metrics.clone(),
    });
    let maintenance = jobs::MAINTENANCE_JOBS
        .iter()
        .map(|kind| kind.bind(maintenance.clone()));
    let kinds = service.kinds.iter().map(|kind| kind.bind(state.clone()));
    let kinds = kinds.chain(maintenance).collect::<anyhow::Result<Vec<_>>>()?;
    for kind in &kinds {
        let same = kinds.iter().filter(|other| other.name() == kind.name());
        anyhow::ensure!(same.count() == 1, "two kinds of jobs are named {}", kind.name());
        platform.job_metrics.announce(kind.name(), kind.timeout());
    }
    let queue = platform.queue.clone();
    #[expect(clippy::disallowed_methods, reason = "it loses nothing when the process ends")]
    tokio::spawn(queue.keep_counting(platform.checks.clone(), platform.job_metrics.clone()));
    let Some(working) = working else {
        return Ok(None);
    };
    let worker = jobs::Worker::start(jobs::WorkerParts {
        settings: settings.jobs.clone(),
        listen: listen_options(settings)?,
        database: platform.jobs_database.clone(),
        checks: platform.checks.clone(),
        schema: service.definition.schema,
        kinds,
        drain: settings.shutdown.drain_timeout,
        metrics: platform.job_metrics.clone(),
        working,
    })?;
    Ok(Some(worker))
}

/// The connection on which a worker listens; `None` behind a pooler, whose sessions change with each transaction.
#[cfg(feature = "jobs")]
fn listen_options(settings: &Settings) -> anyhow::Result<Option<database::ConnectOptions>> {
    let name = format!("{} listen", settings.service.name);
    let options = (!settings.database.pooler).then(|| database::connect_options(&settings.database, &name));
    options.transpose()
}

/// What keeps this process from being started; `None` if nothing does.
async fn reason_to_wait(platform: &Platform) -> Option<String> {
    let unavailable = |error: DatabaseError| Some(format!("the database is not available yet: {error}"));
    match platform.schema_state().await {
        Ok(SchemaState::NewEnough) => {}
        Ok(SchemaState::TooOld(behind)) => return Some(format!("the schema is too old: {behind}")),
        Ok(SchemaState::Forbidden(table)) => return Some(rules::forbidden(table)),
        Err(error) => return unavailable(error),
    }
    let settings = &platform.settings;
    let sessions = platform
        .checks
        .check_sessions(&settings.database, settings.http.deadline);
    sessions.await.unwrap_or_else(unavailable)
}

async fn run_in_background(platform: Arc<Platform>, definition: ServiceDefinition, role: Role) {
    complete_start(&platform, role).await;
    // In a service with jobs, a maintenance job does this.
    if !definition.jobs {
        idempotency::purge_periodically(&platform.checks).await;
    }
}

/// Waits until the schema is new enough and the sessions are as the settings say, and logs the reason for waiting whenever
/// it changes.
async fn complete_start(platform: &Platform, role: Role) {
    let mut last_reason = String::new();
    while let Some(reason) = reason_to_wait(platform).await {
        if reason != last_reason {
            tracing::warn!(reason, "not started yet");
            last_reason = reason;
        }
        tokio::time::sleep(STARTUP_CHECK_INTERVAL).await;
    }
    // Opens a connection before the first request needs one, however long that takes.
    while role.serves() && platform.database.ping(STARTUP_CHECK_INTERVAL).await.is_err() {
        tokio::time::sleep(STARTUP_CHECK_INTERVAL).await;
    }
    platform.lifecycle.set_started();
    tracing::info!("started");
}

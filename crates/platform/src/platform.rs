//! The parts of a process that do not depend on the service's types, from which a service builds its state.

use std::sync::{Arc, Mutex, PoisonError};

use connections::{ConnectionMetrics, Heartbeats};
use database::{Database, DatabaseError, PoolMetrics, Schema, SchemaState};
use http_server::{HttpMetrics, Info};
use management::Dependency;
use reqwest::Url;
use resilience::Deadline;
use runtime::Lifecycle;
use settings::Errors;
use telemetry::metrics::Metrics;
use upstream::Upstream;

use crate::{ServiceDefinition, Settings, dependencies, rules};

/// The parts of a process. The state of a service takes from it what its handlers and jobs need.
#[derive(Debug)]
pub struct Platform {
    /// The settings that every service has.
    pub settings: Settings,
    /// The lifecycle of this process.
    pub lifecycle: Lifecycle,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// The database, with the connections for requests.
    pub database: Database,
    /// The database, with separate connections for checks, so that they do not wait behind requests.
    pub checks: Database,
    /// The running service.
    pub info: Info,
    /// Redis, if the service uses it.
    #[cfg(feature = "cache")]
    pub redis: Option<cache::Redis>,
    /// The queue through which jobs are enqueued.
    #[cfg(feature = "jobs")]
    pub queue: jobs::Queue,
    /// The database, with the connections for jobs.
    #[cfg(feature = "jobs")]
    pub jobs_database: Database,
    #[cfg(feature = "jobs")]
    pub(crate) job_metrics: jobs::JobMetrics,
    #[cfg(feature = "cache")]
    cache_metrics: cache::CacheMetrics,
    #[cfg(feature = "cache")]
    pool_metrics: PoolMetrics,
    pub(crate) http_metrics: HttpMetrics,
    pub(crate) connection_metrics: ConnectionMetrics,
    pub(crate) heartbeats: Heartbeats,
    schema: Schema,
    http_client: reqwest::Client,
    upstreams: Mutex<Vec<Upstream>>,
}

impl Platform {
    /// Creates every part without connecting to anything yet. Call it inside the runtime that outlives the servers.
    ///
    /// # Errors
    /// When a setting that is validated only where it is used is wrong, such as an address.
    ///
    /// # Panics
    /// When called outside a Tokio runtime.
    pub fn new(settings: &Settings, definition: &ServiceDefinition) -> anyhow::Result<Self> {
        let lifecycle = Lifecycle::new(tokio::runtime::Handle::current());
        let metrics = Arc::new(Metrics::new(
            &settings.service.name,
            definition.version,
            settings.service.revision.as_deref(),
        ));
        let pool_metrics = PoolMetrics::register(&metrics);
        let database = |limits: &database::Settings, pool: &str, size| {
            let name = format!("{} {pool}", settings.service.name);
            let metrics = (pool_metrics.clone(), metrics.retries.clone());
            let retry = settings.retry.policy();
            Database::new(limits, (&name, size), retry, lifecycle.clone(), metrics)
        };
        #[cfg(feature = "cache")]
        let redis = || cache::Redis::new(&settings.redis, &lifecycle, metrics.dependencies.clone());
        Ok(Self {
            database: database(&settings.database, "requests", settings.database.pool_size)?,
            // Two connections, so that counting jobs, which can be slow, delays neither health checks nor the heartbeats and
            // schedules of a worker.
            checks: database(&settings.database, "checks", 2)?,
            info: Info {
                service: settings.service.name.clone(),
                version: Some(definition.version.to_owned()),
                environment: Some(settings.service.environment.as_str()),
                schema: Some(definition.schema.needed()),
            },
            #[cfg(feature = "cache")]
            redis: definition.redis.then(redis).transpose()?,
            #[cfg(feature = "jobs")]
            queue: jobs::Queue::new(settings.jobs.max_queued),
            #[cfg(feature = "jobs")]
            jobs_database: {
                let timeout = settings.jobs.statement_timeout;
                let limits = settings.database.with_statement_timeout(timeout);
                let jobs = database(&limits, "jobs", settings.jobs.pool_size)?;
                if settings.database.pooler {
                    jobs.with_local_statement_timeout(timeout)
                } else {
                    jobs
                }
            },
            #[cfg(feature = "jobs")]
            job_metrics: jobs::JobMetrics::register(&metrics),
            #[cfg(feature = "cache")]
            cache_metrics: cache::CacheMetrics::register(&metrics),
            #[cfg(feature = "cache")]
            pool_metrics: pool_metrics.clone(),
            http_metrics: HttpMetrics::register(&metrics),
            connection_metrics: ConnectionMetrics::register(&metrics),
            heartbeats: Heartbeats::default(),
            schema: definition.schema,
            http_client: upstream::http_client()?,
            upstreams: Mutex::default(),
            settings: settings.clone(),
            metrics,
            lifecycle,
        })
    }

    /// Whether the schema is new enough.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn schema_state(&self) -> Result<SchemaState, DatabaseError> {
        let deadline = Deadline::after(self.settings.http.deadline);
        self.schema.state(&self.checks, deadline).await
    }

    /// A read cache for one type of value. Create one per type and process: its clones share loads in flight.
    ///
    /// # Errors
    /// When the service does not use Redis.
    #[cfg(feature = "cache")]
    pub fn read_cache<T: cache::Cacheable>(&self) -> anyhow::Result<cache::ReadCache<T>> {
        Ok(cache::ReadCache::new(cache::ReadCacheParts {
            service: &self.settings.service.name,
            settings: &self.settings.cache,
            load_deadline: self.settings.http.deadline,
            acquire_timeout: self.settings.database.acquire_timeout,
            redis: self.redis()?,
            database: self.database.clone(),
            lifecycle: self.lifecycle.clone(),
            metrics: self.cache_metrics.clone(),
        }))
    }

    /// A fallback cache: the last responses of another service, stored in Redis and served when it is unavailable.
    ///
    /// # Errors
    /// When the service does not use Redis.
    #[cfg(feature = "cache")]
    pub fn fallback_cache<T: cache::FallbackValue>(&self) -> anyhow::Result<cache::FallbackCache<T>> {
        let (service, settings) = (&self.settings.service.name, &self.settings.cache);
        Ok(cache::FallbackCache::new(
            service,
            settings,
            self.redis()?,
            self.lifecycle.clone(),
        ))
    }

    #[cfg(feature = "cache")]
    fn redis(&self) -> anyhow::Result<cache::Redis> {
        let redis = self.redis.clone();
        redis.ok_or_else(|| anyhow::anyhow!("a cache needs Redis: build the service with `.redis()`"))
    }

    /// A client of the service at `base`, with its own circuit breaker and concurrency limit. `name` is also the name
    /// of its section in the configuration. Create one per service and process: each one is listed under
    /// `/dependencies`. Once the state is built, all of them are checked: the attempts of a call must fit into the deadline
    /// of a request.
    pub fn upstream(&self, name: &'static str, base: &Url, settings: &upstream::Settings) -> Upstream {
        let upstream = Upstream::new(
            name,
            base.clone(),
            self.http_client.clone(),
            self.settings.retry.policy(),
            settings,
            (self.metrics.dependencies.clone(), self.metrics.retries.clone()),
        );
        self.upstreams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(upstream.clone());
        upstream
    }

    /// Every client of another service created so far.
    pub(crate) fn upstreams(&self) -> Vec<Upstream> {
        self.upstreams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Checks the settings of every client of another service; returns the errors, and what holds if there are none.
    pub(crate) fn check_upstreams(&self) -> (Errors, Vec<String>) {
        let mut errors = Errors::default();
        let verified = self.upstreams().into_iter().map(|upstream| {
            rules::calls(
                &self.settings,
                upstream.name(),
                upstream.attempt_timeout(),
                &mut errors,
            )
        });
        let verified = verified.collect();
        (errors, verified)
    }

    /// Every dependency that `/dependencies` reports.
    pub(crate) fn dependencies(&self) -> Vec<Dependency> {
        let mut all = vec![dependencies::postgres(&self.checks)];
        #[cfg(feature = "cache")]
        all.extend(self.redis.as_ref().map(dependencies::redis));
        all.extend(self.upstreams().iter().map(dependencies::upstream));
        all
    }

    /// Every database pool with its name in metrics.
    fn pools(&self) -> Vec<(&'static str, &Database)> {
        Vec::from([
            ("requests", &self.database),
            ("checks", &self.checks),
            #[cfg(feature = "jobs")]
            ("jobs", &self.jobs_database),
        ])
    }

    /// Closes every pool.
    pub(crate) fn close(&self) {
        for (_, database) in self.pools() {
            database.close();
        }
        #[cfg(feature = "cache")]
        if let Some(redis) = &self.redis {
            redis.close();
        }
    }

    /// Updates gauges before a scrape.
    pub(crate) fn update_metrics(&self) {
        for (name, database) in self.pools() {
            database.update_metrics(name);
        }
        self.connection_metrics.set_stalled(self.heartbeats.stalled_for());
        let dependencies = &self.metrics.dependencies;
        #[cfg(feature = "cache")]
        if let Some(redis) = &self.redis {
            dependencies.set_breaker("redis", redis.breaker());
            redis.update_metrics(&self.pool_metrics);
        }
        for upstream in self.upstreams() {
            dependencies.set_breaker(upstream.name(), upstream.breaker());
        }
    }
}

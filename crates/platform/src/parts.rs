//! The parts of a process that do not depend on the service's types, and what a state is made of.

use std::sync::{Arc, Mutex, PoisonError};

use database::{Database, Fault, PoolMetrics, Schema, SchemaState};
use http_server::{HttpMetrics, Info};
use management::Dependency;
use reqwest::Url;
use resilience::Deadline;
use runtime::Lifecycle;
use telemetry::metrics::Metrics;
use upstream::Upstream;

use crate::{Definition, Settings, dependencies};

/// The parts of a process. A state takes from it what its handlers and jobs need.
#[derive(Debug)]
pub struct Platform {
    /// The settings that every service has.
    pub settings: Settings,
    /// The phases of this process.
    pub lifecycle: Lifecycle,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// The database, for requests.
    pub database: Database,
    /// Connections of their own for checks, so that they do not wait behind requests.
    pub checks: Database,
    /// What runs.
    pub info: Info,
    /// Redis, where the service has it.
    #[cfg(feature = "cache")]
    pub redis: Option<cache::Redis>,
    /// The way into the queue of jobs.
    #[cfg(feature = "jobs")]
    pub queue: jobs::Queue,
    /// The database, for jobs.
    #[cfg(feature = "jobs")]
    pub jobs_database: Database,
    #[cfg(feature = "jobs")]
    pub(crate) job_metrics: jobs::JobMetrics,
    #[cfg(feature = "cache")]
    cache_metrics: cache::CacheMetrics,
    pub(crate) http_metrics: HttpMetrics,
    schema: Schema,
    http_client: reqwest::Client,
    upstreams: Mutex<Vec<Upstream>>,
}

impl Platform {
    /// Makes every part; connects to nothing yet. Call it inside the runtime that is to outlive the servers.
    ///
    /// # Errors
    /// When a setting that only its user can judge is wrong, such as an address.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn new(settings: &Settings, definition: &Definition) -> anyhow::Result<Self> {
        let lifecycle = Lifecycle::new(tokio::runtime::Handle::current());
        let metrics = Arc::new(Metrics::new(&settings.service.name, definition.version));
        let pool_metrics = PoolMetrics::register(&metrics);
        let database = |limits: &database::Settings, size| {
            let metrics = (pool_metrics.clone(), metrics.retries.clone());
            Database::new(limits, size, settings.retry.policy(), lifecycle.clone(), metrics)
        };
        #[cfg(feature = "cache")]
        let redis = || cache::Redis::new(&settings.redis, &lifecycle, metrics.dependencies.clone());
        Ok(Self {
            database: database(&settings.database, settings.database.pool_size)?,
            // One for the count of jobs, which may take long, and one for what asks whether the database is there.
            checks: database(&settings.database, 2)?,
            info: Info {
                service: settings.service.name.clone(),
                version: definition.version.to_owned(),
                environment: settings.service.environment.as_str(),
                schema: definition.schema.needed(),
            },
            #[cfg(feature = "cache")]
            redis: definition.redis.then(redis).transpose()?,
            #[cfg(feature = "jobs")]
            queue: jobs::Queue::new(settings.jobs.queue_limit),
            #[cfg(feature = "jobs")]
            jobs_database: database(
                &settings
                    .database
                    .with_statement_timeout(settings.jobs.statement_timeout),
                settings.jobs.pool_size,
            )?,
            #[cfg(feature = "jobs")]
            job_metrics: jobs::JobMetrics::register(&metrics),
            #[cfg(feature = "cache")]
            cache_metrics: cache::CacheMetrics::register(&metrics),
            http_metrics: HttpMetrics::register(&metrics),
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
    /// When the database gave no answer.
    pub async fn schema_state(&self) -> Result<SchemaState, Fault> {
        let deadline = Deadline::after(self.settings.http.deadline);
        self.schema.state(&self.checks, deadline).await
    }

    /// A cache of one type of value. Make one per type and process: its clones share loads in flight.
    ///
    /// # Errors
    /// When the service has no Redis.
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

    /// The last answers of another service, kept in Redis to stand in for those that it cannot give.
    ///
    /// # Errors
    /// When the service has no Redis.
    #[cfg(feature = "cache")]
    pub fn last_known<T: cache::Kept>(&self) -> anyhow::Result<cache::LastKnown<T>> {
        let (service, settings) = (&self.settings.service.name, &self.settings.cache);
        Ok(cache::LastKnown::new(
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

    /// A client of another service, with a breaker and a bulkhead of its own. Make one per service and process: it is
    /// listed under `/dependencies` from then on.
    pub fn upstream(&self, name: &'static str, base: Url) -> Upstream {
        let upstream = Upstream::new(
            name,
            base,
            self.http_client.clone(),
            self.settings.retry.policy(),
            &self.settings.upstream,
            (self.metrics.dependencies.clone(), self.metrics.retries.clone()),
        );
        self.upstreams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(upstream.clone());
        upstream
    }

    /// Every client of another service that was made so far.
    pub(crate) fn upstreams(&self) -> Vec<Upstream> {
        self.upstreams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Everything that `/dependencies` shows.
    pub(crate) fn dependencies(&self) -> Vec<Dependency> {
        let mut all = vec![dependencies::postgres(&self.checks)];
        #[cfg(feature = "cache")]
        all.extend(self.redis.as_ref().map(dependencies::redis));
        all.extend(self.upstreams().iter().map(dependencies::upstream));
        all
    }

    /// Every pool, by the name that its metrics have.
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

    /// Brings gauges up to date before a scrape.
    pub(crate) fn update_metrics(&self) {
        for (name, database) in self.pools() {
            database.update_metrics(name);
        }
        let dependencies = &self.metrics.dependencies;
        #[cfg(feature = "cache")]
        if let Some(redis) = &self.redis {
            dependencies.set_breaker("redis", redis.breaker());
        }
        for upstream in self.upstreams() {
            dependencies.set_breaker(upstream.name(), upstream.breaker());
        }
    }
}

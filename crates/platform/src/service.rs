//! What the layers of a request share, and how it is put together.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError, atomic::AtomicBool},
};

use actix_web::web::Data;
use outcome::Catalogue;
use reqwest::Url;
use resilience::{ConcurrencyLimit, Deadline, RetryPolicy};

use crate::{
    config::{self, Settings},
    drill::Drill,
    http::{Configure, Routes, UNMATCHED, auth::Authenticator, document},
    jobs::{HOUSEKEEPING, JobKind, Queue},
    lifecycle::Lifecycle,
    postgres::{Database, Fault, Schema, SchemaState},
    redis::{Cacheable, Kept, LastKnown, RateLimiter, ReadCache, Redis},
    telemetry::metrics::Metrics,
    upstream::{self, Upstream},
};

/// What a service tells the platform about itself.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Its version.
    pub version: &'static str,
    /// All its problem types.
    pub catalogue: Catalogue,
    /// The schema it needs.
    pub schema: Schema,
    /// Its operations.
    pub configure: Configure,
    /// Its jobs.
    pub jobs: &'static [JobKind],
    /// Jobs of somebody else, such as its tests.
    pub more_jobs: &'static [JobKind],
    /// Makes what is shared by its operations, so that it is there (and in the metrics) from the start.
    pub prepare: &'static [fn(&Platform)],
}

/// What the layers of a request share.
#[derive(Debug)]
pub struct Platform {
    /// The configuration.
    pub settings: Settings,
    /// The service's version.
    pub version: &'static str,
    /// All problem types.
    pub catalogue: Catalogue,
    /// The schema that is needed.
    pub schema: Schema,
    /// The contract, as JSON.
    pub openapi: String,
    /// The routes of the contract.
    pub routes: Routes,
    /// The phases of this process.
    pub lifecycle: Lifecycle,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// The database, for requests.
    pub database: Database,
    /// Connections of their own for checks, so that they do not wait behind requests.
    pub checks: Database,
    /// For jobs, in a pool of their own.
    pub jobs_database: Database,
    /// The way into the queue.
    pub queue: Queue,
    pub(crate) job_kinds: [&'static [JobKind]; 3],
    /// Redis.
    pub redis: Redis,
    /// Quotas.
    pub limiter: RateLimiter,
    /// Tokens.
    pub authenticator: Authenticator,
    /// Requests in flight.
    pub in_flight: ConcurrencyLimit,
    /// Bodies that are arriving: a part of the requests in flight, so that slow senders leave room.
    pub uploads: ConcurrencyLimit,
    /// The fault of a drill.
    pub(crate) drill: Drill,
    /// Whether the worker of this process works, where it has one.
    pub(crate) working: OnceLock<Arc<AtomicBool>>,
    http_client: reqwest::Client,
    upstreams: Mutex<Vec<Upstream>>,
    shared: Mutex<HashMap<TypeId, Box<dyn Any + Send + Sync>>>,
}

impl Platform {
    /// Puts everything together; connects to nothing yet. Call it inside the runtime that is to outlive
    /// the servers.
    ///
    /// # Errors
    /// When a setting that only its user can judge is wrong, such as an address.
    pub fn new(settings: Settings, service: Service) -> anyhow::Result<Data<Self>> {
        let lifecycle = Lifecycle::new(tokio::runtime::Handle::current());
        let metrics = Arc::new(Metrics::new(&settings.service.name, service.version));
        // A budget for each dependency: what one of them spends must not be missing for another.
        let retry = || {
            let config::Retry {
                attempts,
                first_backoff,
                budget,
            } = settings.retry;
            RetryPolicy::new(attempts, first_backoff, budget)
        };
        let database = |size, statement_timeout| {
            let limits = config::Database {
                statement_timeout,
                ..settings.database.clone()
            };
            Database::new(&limits, size, retry(), lifecycle.clone(), metrics.clone())
        };
        let statement_timeout = settings.database.statement_timeout;
        let requests = database(settings.database.pool_size, statement_timeout)?;
        // One for the count of jobs, which may take long, and one for what asks whether the database is there.
        let checks = database(2, statement_timeout)?;
        let jobs_database = database(settings.jobs.pool_size, settings.jobs.statement_timeout)?;
        let job_kinds = [service.jobs, service.more_jobs, HOUSEKEEPING];
        job_kinds
            .iter()
            .copied()
            .flatten()
            .for_each(|kind| metrics.jobs.announce(kind.name()));
        metrics.http.set_active_limit(settings.http.max_in_flight);
        let redis = Redis::new(&settings.redis, &lifecycle, metrics.clone())?;
        let document = document(service.configure, service.catalogue, service.version);
        let routes = Routes::of(&document);
        routes
            .templates()
            .chain(["/docs/{_:.*}", UNMATCHED])
            .for_each(|route| metrics.http.announce(route));
        let platform = Self {
            version: service.version,
            catalogue: service.catalogue,
            schema: service.schema,
            openapi: serde_json::to_string(&document)?,
            routes,
            metrics,
            database: requests,
            checks,
            jobs_database,
            queue: Queue::new(settings.jobs.queue_limit),
            job_kinds,
            limiter: RateLimiter::new(&settings, redis.clone()),
            redis,
            authenticator: Authenticator::new(&settings.auth)?,
            in_flight: ConcurrencyLimit::new(settings.http.max_in_flight),
            uploads: ConcurrencyLimit::new(settings.http.max_in_flight.div_ceil(2)),
            drill: Drill::default(),
            working: OnceLock::new(),
            http_client: upstream::http_client()?,
            upstreams: Mutex::default(),
            shared: Mutex::default(),
            lifecycle,
            settings,
        };
        service.prepare.iter().for_each(|prepare| prepare(&platform));
        Ok(Data::new(platform))
    }

    /// Whether the schema is new enough.
    ///
    /// # Errors
    /// When the database gave no answer.
    pub async fn schema_state(&self) -> Result<SchemaState, Fault> {
        self.schema
            .state(&self.checks, Deadline::after(self.settings.http.deadline))
            .await
    }

    /// The one value of this type in this process; `make` is called for the first who asks.
    ///
    /// # Panics
    /// Never: each value is kept under its own type.
    pub fn shared<T: Clone + Send + Sync + 'static>(&self, make: impl FnOnce(&Self) -> T) -> T {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let value = shared
            .entry(TypeId::of::<T>())
            .or_insert_with(|| Box::new(make(self)));
        value
            .downcast_ref::<T>()
            .expect("kept under its own type")
            .clone()
    }

    /// The read cache for this type of value, the same one for all who ask.
    pub fn cache<T: Cacheable>(&self) -> ReadCache<T> {
        self.shared(|platform| {
            ReadCache::new(
                &platform.settings,
                platform.redis.clone(),
                platform.database.clone(),
                platform.lifecycle.clone(),
                platform.metrics.clone(),
            )
        })
    }

    /// The last answers of another service, kept in Redis to stand in for those that it cannot give.
    pub fn last_known<T: Kept>(&self) -> LastKnown<T> {
        LastKnown::new(&self.settings, self.redis.clone(), self.lifecycle.clone())
    }

    /// A client of another service, with a breaker and a bulkhead of its own. Make one per service and
    /// process ([`shared`](Self::shared)): it is listed under `/dependencies` from then on.
    pub fn upstream(&self, name: &'static str, base: Url) -> Upstream {
        let retry = &self.settings.retry;
        let upstream = Upstream::new(
            name,
            base,
            self.http_client.clone(),
            RetryPolicy::new(retry.attempts, retry.first_backoff, retry.budget),
            &self.settings.upstream,
            self.metrics.clone(),
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

    /// Closes every pool.
    pub(crate) fn close(&self) {
        for database in [&self.database, &self.checks, &self.jobs_database] {
            database.close();
        }
        self.redis.close();
    }

    /// Brings gauges up to date before a scrape.
    pub fn update_metrics(&self) {
        for (name, database) in [
            ("requests", &self.database),
            ("checks", &self.checks),
            ("jobs", &self.jobs_database),
        ] {
            database.update_metrics(name);
        }
        self.metrics
            .dependencies
            .set_breaker("redis", self.redis.breaker());
        for upstream in self.upstreams() {
            self.metrics
                .dependencies
                .set_breaker(upstream.name(), upstream.breaker());
        }
    }
}

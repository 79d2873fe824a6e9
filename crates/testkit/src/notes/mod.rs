//! A service that exists only in tests, so that the tests of the platform do not depend on the service that a team
//! builds.

mod app;
mod copies;
mod database;
mod jobs;
mod operations;
mod routes;

pub use app::{NOTES, sample_note};
pub use jobs::{FailingJob, Patient, enqueue_noop};
pub use routes::unblock;

use std::{sync::atomic::AtomicUsize, time::Duration};

use ::database::{Database, MigrationSet};
use cache::ReadCache;
use outcome::{Catalogue, common};
use platform::{Platform, Service};
use reqwest::Url;
use sqlx::migrate::Migrator;
use upstream::Upstream;

use crate::UnderTest;

static MIGRATOR: Migrator = sqlx::migrate!();
static MIGRATIONS: MigrationSet = MigrationSet::of_service(&MIGRATOR);

/// The settings of the notes service.
#[derive(Clone, Debug, settings::Settings)]
pub struct Settings {
    /// The settings common to all services.
    #[setting(flatten)]
    pub platform: platform::Settings,
    /// The settings of the upstream service.
    #[setting(section)]
    pub partner: PartnerSettings,
}

/// The settings of the upstream service.
#[derive(Clone, Debug, settings::Settings)]
pub struct PartnerSettings {
    /// The URL of the upstream service. By default nothing listens there.
    #[setting(default = Url::parse("http://127.0.0.1:1").expect("a valid URL"))]
    pub url: Url,
    /// How the upstream service is called.
    #[setting(flatten)]
    pub upstream: upstream::Settings,
}

impl AsRef<platform::Settings> for Settings {
    fn as_ref(&self) -> &platform::Settings {
        &self.platform
    }
}

/// The state of the notes service.
#[derive(Debug)]
pub struct State {
    database: Database,
    retention: Duration,
    notes: ReadCache<operations::Stored>,
    partner: Upstream,
    singles: AtomicUsize,
}

impl State {
    fn new(settings: &Settings, platform: &Platform) -> anyhow::Result<Self> {
        Ok(Self {
            database: platform.database.clone(),
            retention: settings.platform.idempotency.retention,
            notes: platform.read_cache()?,
            singles: AtomicUsize::new(0),
            partner: platform.upstream("partner", &settings.partner.url, &settings.partner.upstream),
        })
    }
}

/// Every problem type that the notes service can return.
pub static CATALOGUE: Catalogue = Catalogue::new(&[common::ALL, ::jobs::problems::ALL, copies::PROBLEMS]);

/// The notes service.
pub static SERVICE: Service<Settings, State> = Service::builder(
    env!("CARGO_PKG_VERSION"),
    CATALOGUE,
    routes::operations,
    State::new,
)
.migrations(&MIGRATIONS)
.redis()
.jobs(jobs::ALL)
.build();

/// The notes service as the service under test.
#[derive(Debug)]
pub struct Notes;

impl UnderTest for Notes {
    type Settings = Settings;
    type State = State;

    fn service() -> &'static Service<Settings, State> {
        &SERVICE
    }
}

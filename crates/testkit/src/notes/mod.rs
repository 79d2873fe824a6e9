//! A service that exists only in tests: what the platform promises is tested with it, and without the service that a
//! team builds.

mod app;
mod copies;
mod database;
mod jobs;
mod operations;
mod routes;

pub use app::{NOTES, note};
pub use jobs::Poison;

use std::time::Duration;

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

/// The settings of the notes.
#[derive(Clone, Debug, settings::Settings)]
pub struct Settings {
    /// Those that every service has.
    #[setting(flatten)]
    pub platform: platform::Settings,
    /// Another service.
    #[setting(section)]
    pub partner: PartnerSettings,
}

/// Another service.
#[derive(Clone, Debug, settings::Settings)]
pub struct PartnerSettings {
    /// Where it is: nowhere, unless a test says so.
    #[setting(default = Url::parse("http://127.0.0.1:1").expect("an address"))]
    pub url: Url,
}

impl AsRef<platform::Settings> for Settings {
    fn as_ref(&self) -> &platform::Settings {
        &self.platform
    }
}

/// The state of the notes.
#[derive(Debug)]
pub struct State {
    database: Database,
    retention: Duration,
    notes: ReadCache<operations::Stored>,
    partner: Upstream,
}

impl State {
    fn new(settings: &Settings, platform: &Platform) -> anyhow::Result<Self> {
        Ok(Self {
            database: platform.database.clone(),
            retention: settings.platform.idempotency.retention,
            notes: platform.read_cache()?,
            partner: platform.upstream("partner", settings.partner.url.clone()),
        })
    }
}

/// All problem types that can come out of the notes.
pub static CATALOGUE: Catalogue = Catalogue::new(&[common::ALL, ::jobs::problems::ALL, copies::PROBLEMS]);

/// The notes as a service.
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

/// The notes, as what is tested.
#[derive(Debug)]
pub struct Notes;

impl UnderTest for Notes {
    type Settings = Settings;
    type State = State;

    fn service() -> &'static Service<Settings, State> {
        &SERVICE
    }
}

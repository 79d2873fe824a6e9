//! What this service is made of.

use database::{MigrationSet, Schema};
use platform::Service;
use sqlx::migrate::Migrator;

use crate::{jobs, problems, resources, settings::Settings, state::Api};

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");
static MIGRATIONS: MigrationSet = MigrationSet::of_service(&MIGRATOR);

/// This service.
pub static SERVICE: Service<Settings, Api> = Service::builder(
    env!("CARGO_PKG_VERSION"),
    problems::CATALOGUE,
    resources::configure,
    Api::new,
)
.defaults(include_str!("../config/default.toml"))
.schema(Schema::new(&[
    &database::MIGRATIONS,
    &::jobs::MIGRATIONS,
    &MIGRATIONS,
]))
.redis()
.jobs(jobs::ALL)
.build();

//! The definition of this service.

use database::MigrationSet;
use platform::Service;
use sqlx::migrate::Migrator;

use crate::{jobs, problems, resources, settings::Settings, state::Api};

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");
static MIGRATIONS: MigrationSet = MigrationSet::of_service(&MIGRATOR);

/// This service: its settings, problem types, operations, state, migrations and jobs.
pub static SERVICE: Service<Settings, Api> = Service::builder(
    env!("CARGO_PKG_VERSION"),
    problems::CATALOGUE,
    resources::operations,
    Api::new,
)
.config_folder("services/api/config")
.defaults(include_str!("../config/default.toml"))
.migrations(&MIGRATIONS)
.redis()
.jobs(jobs::ALL)
.build();

//! What this service is made of.

use platform::{Service, postgres::Schema};
use sqlx::migrate::Migrator;

use crate::{jobs, problems, resources, supplier};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// Settings that are true wherever this service runs.
pub const DEFAULT_TOML: &str = include_str!("../config/default.toml");

/// This service, as the platform sees it.
pub const SERVICE: Service = Service {
    version: env!("CARGO_PKG_VERSION"),
    catalogue: problems::CATALOGUE,
    schema: Schema::new(&MIGRATIONS),
    configure: resources::configure,
    jobs: jobs::ALL,
    more_jobs: &[],
    prepare: &[supplier::prepare],
};

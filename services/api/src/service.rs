//! What this service is made of.

use platform::{Platform, Service, postgres::Schema};
use sqlx::migrate::Migrator;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    orders::{self, Orders},
    problems,
};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// Settings that are true wherever this service runs.
pub const DEFAULT_TOML: &str = include_str!("../config/default.toml");

/// This service, as the platform sees it.
pub static SERVICE: Service = Service {
    version: env!("CARGO_PKG_VERSION"),
    catalogue: problems::CATALOGUE,
    schema: Schema::new(&MIGRATIONS),
    configure,
};

fn configure(service: &mut ServiceConfig) {
    service.configure(orders::configure);
}

/// What the handlers share.
#[derive(Debug)]
pub struct State {
    /// Orders.
    pub orders: Orders,
}

/// What the handlers share, on this platform.
pub fn state(platform: &Platform) -> State {
    State {
        orders: Orders::new(platform),
    }
}

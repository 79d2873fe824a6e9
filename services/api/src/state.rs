//! The state that the operations and jobs of this service share, created once per process.

use std::time::Duration;

use cache::ReadCache; // sample
use database::Database;
use jobs::Queue;
use platform::Platform;

use crate::settings::Settings;
use crate::{resources::orders::StoredOrder, supplier::Supplier}; // sample

/// The state of this service.
#[derive(Debug)]
pub struct Api {
    /// Postgres.
    pub database: Database,
    /// The queue of jobs.
    pub queue: Queue,
    /// How long the response to an idempotency key is kept.
    pub idempotency_retention: Duration,
    // sample: begin
    /// Orders, cached.
    pub(crate) orders: ReadCache<StoredOrder>,
    /// The supplier.
    pub(crate) supplier: Supplier,
    // sample: end
}

impl Api {
    /// Creates the state of a process from its settings and the parts of the platform.
    ///
    /// # Errors
    /// When the state needs a part that the service was built without.
    pub fn new(settings: &Settings, platform: &Platform) -> anyhow::Result<Self> {
        Ok(Self {
            database: platform.database.clone(),
            queue: platform.queue.clone(),
            idempotency_retention: settings.platform.idempotency.retention,
            // sample: begin
            orders: platform.read_cache()?,
            supplier: Supplier::new(&settings.supplier, platform)?,
            // sample: end
        })
    }
}

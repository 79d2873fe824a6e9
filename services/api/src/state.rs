//! What the operations and jobs of this service work with, made once in each process.

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
    /// The way into the queue of jobs.
    pub queue: Queue,
    /// How long the answer to an idempotency key is kept.
    pub idempotency_retention: Duration,
    // sample: begin
    /// Orders, cached.
    pub(crate) orders: ReadCache<StoredOrder>,
    /// The supplier.
    pub(crate) supplier: Supplier,
    // sample: end
}

impl Api {
    /// The state of a process with these settings and parts.
    ///
    /// # Errors
    /// When something that it needs is not part of the service.
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

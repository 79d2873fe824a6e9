//! A process of the service with everything that it calls.

use std::path::Path;

use ::supplier::Supplier; // sample
use testkit::{ProcessEnvironment, Server};

use crate::Failure;

/// The environment of the service's processes. What they call runs until this value is dropped.
pub(crate) struct Environment {
    processes: ProcessEnvironment,
    supplier: Supplier, // sample
}

impl Environment {
    /// An environment with an empty database, and without quotas.
    pub(crate) async fn new(binary: &Path) -> Self {
        let processes = ProcessEnvironment::new(binary)
            .await
            .set("rate_limit.burst", "1000000")
            .set("rate_limit.per_second", "1000000")
            .set("rate_limit.anonymous_burst", "1000000")
            .set("rate_limit.anonymous_per_second", "1000000");
        // sample: begin
        let free = ([127, 0, 0, 1], 0).into();
        let supplier = ::supplier::start(free, free).expect("free ports");
        let processes = processes.set("supplier.url", &format!("http://{}", supplier.address));
        // sample: end
        Self {
            processes,
            supplier, // sample
        }
    }

    /// Sets a configuration key, such as `http.keep_alive`.
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        self.processes = self.processes.set(key, value);
        self
    }

    /// Migrates the database and starts a process that serves the API.
    pub(crate) async fn serve(&self) -> Result<Server, Failure> {
        if !self.processes.run(&["migrate"]).status.success() {
            return Err("the migrations failed".into());
        }
        let server = self.processes.serve();
        server.wait_for_probe("/readyz", 200).await;
        Ok(server)
    }

    // sample: begin
    /// The supplier that the processes call.
    pub(crate) fn supplier(&self) -> &Supplier {
        &self.supplier
    }
    // sample: end

    /// The processes of the service.
    pub(crate) fn processes(&self) -> &ProcessEnvironment {
        &self.processes
    }
}

//! What this service serves: a folder or a file for each resource, and a line for each below.

pub(crate) mod orders; // sample
mod quotes; // sample
mod reports; // sample

use http_server::Operations;

pub(crate) fn operations(operations: &mut Operations) {
    orders::operations(operations); // sample
    operations.register::<quotes::create_quote>(); // sample
    operations.register::<reports::create_report>(); // sample
}

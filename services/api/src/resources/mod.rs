//! The resources of this service: a folder or file for each, registered below.

pub(crate) mod orders; // sample
mod quotes; // sample
mod reports; // sample

use http_server::Operations;

pub(crate) fn operations(operations: &mut Operations) {
    orders::operations(operations); // sample
    operations.register::<quotes::create_quote>(); // sample
    operations.register::<reports::create_report>(); // sample
}

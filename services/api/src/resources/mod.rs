//! What this service serves: a folder or a file for each resource, and a line for each below.

pub(crate) mod orders; // sample
mod quotes; // sample
mod reports; // sample

use utoipa_actix_web::service_config::ServiceConfig;

pub(crate) fn configure(service: &mut ServiceConfig) {
    service.configure(orders::configure); // sample
    service.service(quotes::create_quote); // sample
    service.service(reports::create_report); // sample
}

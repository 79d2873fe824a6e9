//! What this service serves: a folder or a file for each resource, and a line for each below.

pub(crate) mod orders;
mod quotes;
mod reports;

use utoipa_actix_web::service_config::ServiceConfig;

pub(crate) fn configure(service: &mut ServiceConfig) {
    service.configure(orders::configure);
    service.service(quotes::create_quote);
    service.service(reports::create_report);
}

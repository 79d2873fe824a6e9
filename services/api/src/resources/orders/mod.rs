//! Orders: the sample resource. One file per operation, a line for each below.

mod cancel;
mod create;
mod get;
mod list;
mod model;

pub(crate) use get::OrderById;
pub(crate) use model::{CURRENCY, SKU, StoredOrder};
pub use model::{Item, Order};

use http_server::auth::Scope;
use utoipa_actix_web::service_config::ServiceConfig;

pub(crate) fn configure(service: &mut ServiceConfig) {
    service
        .service(create::create_order)
        .service(get::get_order)
        .service(list::list_orders)
        .service(cancel::cancel_order);
}

/// May read orders.
pub struct OrdersRead;

impl Scope for OrdersRead {
    const NAME: &'static str = "orders:read";
}

/// May place and cancel orders.
pub struct OrdersWrite;

impl Scope for OrdersWrite {
    const NAME: &'static str = "orders:write";
}

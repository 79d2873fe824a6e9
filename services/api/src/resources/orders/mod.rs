//! Orders: the sample resource. One file per operation, a line for each below.

mod cancel;
mod create;
mod get;
mod list;
mod model;

pub(crate) use get::OrderById;
pub(crate) use model::{CURRENCY, SKU, StoredOrder};
pub use model::{Item, Order};

use http_server::{Operations, Scope};

pub(crate) fn operations(operations: &mut Operations) {
    operations
        .register::<create::create_order>()
        .register::<get::get_order>()
        .register::<list::list_orders>()
        .register::<cancel::cancel_order>();
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

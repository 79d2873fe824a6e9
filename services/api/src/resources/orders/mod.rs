//! Orders, the sample resource: a file for each operation, registered below.

mod cancel;
mod create;
mod get;
mod list;
mod model;

pub(crate) use get::OrderById;
pub(crate) use model::{CURRENCY, SKU, StoredOrder};
pub(crate) use model::{Item, NewItem, Order};

use http_server::{Operations, Scope};

pub(crate) fn operations(operations: &mut Operations) {
    operations
        .register::<create::create_order>()
        .register::<get::get_order>()
        .register::<list::list_orders>()
        .register::<cancel::cancel_order>();
}

/// The scope for reading orders.
pub(crate) struct OrdersRead;

impl Scope for OrdersRead {
    const NAME: &'static str = "orders:read";
}

/// The scope for placing and cancelling orders.
pub(crate) struct OrdersWrite;

impl Scope for OrdersWrite {
    const NAME: &'static str = "orders:write";
}

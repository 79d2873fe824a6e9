//! The sample third party: a small service that is not ours, with faults that can be switched on.
//!
//! Its public port answers quotes, delivery estimates and notifications; its management port switches
//! faults per endpoint and tells what was received. Nothing here follows our doctrine: it is what we
//! have to live with.

mod api;
mod faults;
mod management;
mod server;

pub use faults::{Endpoint, Fault};
pub use server::{Supplier, start};

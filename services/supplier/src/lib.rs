//! The sample third party, with fault injection.
//!
//! The public port serves quotes, delivery estimates and notifications. The management port injects faults per endpoint
//! and shows what was received. Nothing here follows the conventions of this project: the supplier stands for a service
//! that belongs to others.

mod api;
mod faults;
mod management;
mod server;

pub use faults::{Endpoint, Fault};
pub use server::{Supplier, start};

//! The HTTP server, and the way of a request through it:
//! observe → admit → deadline → authenticate → quota → extract → handler.

pub mod auth;
pub mod extract;
pub mod openapi;

mod admit;
mod body;
mod catalogue_pages;
mod deadline;
mod drill;
mod input_errors;
mod management;
mod observe;
mod quota;
mod refused;
mod routes;
mod routing;
mod server;

pub use catalogue_pages::Info;
pub use refused::{Refused, refuse};
pub use routes::{Routes, UNMATCHED};
pub use server::{Configure, Running, document, listen_management, listen_public};

#[doc(hidden)]
pub use ::{actix_web, outcome, utoipa};

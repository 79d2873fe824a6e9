//! The service: its problems, resources, jobs and state.

mod jobs;
pub mod problems;
mod resources;
pub mod service;
mod settings;
mod state;
mod supplier; // sample

pub use self::settings::Settings;
pub use service::SERVICE;
pub use state::Api;

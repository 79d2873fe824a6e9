//! The sample service: orders.

pub mod commands;
pub mod orders;
pub mod problems;
pub mod service;

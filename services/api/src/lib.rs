//! The service: its problems, its resources, and the commands of its binary.

pub mod commands;
mod jobs;
pub mod problems;
mod resources;
pub mod service;
mod supplier;

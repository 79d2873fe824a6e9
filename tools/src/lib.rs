//! The part of the tools that tests use, too.

pub mod soak; // sample

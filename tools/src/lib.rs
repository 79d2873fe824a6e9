//! What the tools share with the tests.

pub mod soak; // sample

//! The binary as an operator meets it: commands, exit codes, signals.

mod commands;
mod drain;
mod harness;

//! Checks and drills of the compose stack, from outside. Called by `dev/stack`.

mod alert; // sample
mod compose;
mod drill; // sample
mod drills; // sample
mod panels;
mod ready;
mod watch;

use std::time::Duration;

use clap::Subcommand;

pub(crate) use self::{compose::caller_of, watch::link};

use crate::Failure;

/// The period of the load: its rate is below every quota and above every volume floor.
const EVERY: Duration = Duration::from_millis(40);

/// A check or drill of the stack.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Wait until the first trace is in Jaeger, and print the address of each service.
    Ready,
    /// Run the query of every panel of the dashboards; each must return data.
    CheckDashboards,
    // sample: begin
    /// Inject a fault under load; verify the responses, the alert, the trace and recovery.
    Drill {
        /// Name of the fault, as `drill-list` prints it.
        fault: String,
    },
    /// Run every drill; this takes some 35 minutes.
    DrillAll,
    /// Print the names of all drills.
    DrillList,
    // sample: end
}

/// Runs a command.
pub(crate) async fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Ready => ready::ready().await,
        Command::CheckDashboards => panels::run().await,
        // sample: begin
        Command::DrillAll => drill::run(drills::ALL).await,
        Command::Drill { fault } => match drills::ALL.iter().find(|drill| drill.name == fault) {
            Some(drill) => drill::run(std::slice::from_ref(drill)).await,
            None => Err(format!("unknown fault {fault}; known: {}", names()).into()),
        },
        Command::DrillList => {
            println!("{}", names());
            Ok(())
        } // sample: end
    }
}

// sample: begin
fn names() -> String {
    drills::ALL
        .iter()
        .map(|drill| drill.name)
        .collect::<Vec<_>>()
        .join(" ")
}
// sample: end

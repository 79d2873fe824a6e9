//! Checks and drills of the compose stack, from outside. Called by `dev/stack`.

mod compose;
mod drill;
mod drills;
mod panels;
mod smoke;
mod watch;

use std::time::Duration;

use clap::Subcommand;

use crate::{Failure, load};

/// The period of the load: its rate is below every quota and above every volume floor.
const EVERY: Duration = Duration::from_millis(40);

/// A check or drill of the stack.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Wait until the first trace is in Jaeger, and print the address of each service.
    Ready,
    /// Provoke each kind of response, and print its trace.
    Smoke,
    /// Run the query of every panel of the dashboards; each must return data.
    CheckDashboards,
    /// Inject a fault under load; verify the responses, the alert, the trace and recovery.
    Drill {
        /// Name of the fault, as `drill-list` prints it.
        fault: String,
    },
    /// Run every drill; this takes some 35 minutes.
    DrillAll,
    /// Print the names of all drills.
    DrillList,
}

/// Runs a command.
pub(crate) async fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Ready => smoke::ready().await,
        Command::Smoke => smoke::smoke().await,
        Command::CheckDashboards => panels::run().await,
        Command::DrillAll => drill::run(drills::ALL).await,
        Command::Drill { fault } => match drills::ALL.iter().find(|drill| drill.name == fault) {
            Some(drill) => drill::run(std::slice::from_ref(drill)).await,
            None => Err(format!("unknown fault {fault}; known: {}", names()).into()),
        },
        Command::DrillList => {
            println!("{}", names());
            Ok(())
        }
    }
}

fn names() -> String {
    drills::ALL
        .iter()
        .map(|drill| drill.name)
        .collect::<Vec<_>>()
        .join(" ")
}

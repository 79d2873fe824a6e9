//! The compose stack from outside: whether it is up, what it answers, and drills. Called by `dev/stack`.

mod compose;
mod drill;
mod drills;
mod panels;
mod smoke;
mod watch;

use std::time::Duration;

use clap::Subcommand;

use crate::{Failure, load};

/// The load: below every quota, above every volume floor.
const EVERY: Duration = Duration::from_millis(40);

/// What is done with the stack.
#[derive(Subcommand)]
pub enum Command {
    /// Wait until everything answers and the first trace is in Jaeger.
    Ready,
    /// Provoke each kind of answer, and print its trace.
    Smoke,
    /// Run the query of every panel of the dashboards; each must return data.
    Panels,
    /// Bring a fault about under load; see what callers see, which alert fires, and that it ends.
    Drill {
        /// Its name, as `drill-list` prints it.
        fault: String,
    },
    /// Every drill; some 35 minutes.
    DrillAll,
    /// Print the names of all drills.
    DrillList,
}

/// Runs a command.
pub async fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Ready => smoke::ready().await,
        Command::Smoke => smoke::smoke().await,
        Command::Panels => panels::run().await,
        Command::DrillAll => drill::run(drills::ALL).await,
        Command::Drill { fault } => match drills::ALL.iter().find(|drill| drill.name == fault) {
            Some(drill) => drill::run(std::slice::from_ref(drill)).await,
            None => Err(format!("no fault named {fault}; there are: {}", names()).into()),
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

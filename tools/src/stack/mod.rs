//! The compose stack from outside: whether it is up, what it answers, and drills. Called by `dev/stack`.

mod compose;
mod drill;
mod drills;
#[expect(dead_code, reason = "the drills of rollouts have more of it")]
mod load;
mod panels;
#[path = "../../crates/testkit/tests/platform/telemetry/queries.rs"]
#[expect(dead_code, reason = "the check of the rules has more of it")]
mod queries;
mod smoke;
mod watch;

use std::{process::ExitCode, time::Duration};

/// Why a step of the stack did not work, in words for whoever started it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The load: below every quota, above every volume floor.
const EVERY: Duration = Duration::from_millis(40);

const USAGE: &str = "usage: stack ready | smoke | panels | drill FAULT | drill-all | drill-list";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["ready"] => smoke::ready().await,
        ["smoke"] => smoke::smoke().await,
        ["panels"] => panels::run().await,
        ["drill-all"] => drill::run(drills::ALL).await,
        ["drill", name] => match drills::ALL.iter().find(|drill| drill.name == name) {
            Some(drill) => drill::run(std::slice::from_ref(drill)).await,
            None => {
                eprintln!("error: no fault named {name}; there are: {}", names());
                return ExitCode::from(2);
            }
        },
        ["drill-list"] => {
            println!("{}", names());
            Ok(())
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
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

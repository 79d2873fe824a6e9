//! A `?` on an I/O error in a job: it would not say whether a retry can help.

use jobs::{Job, JobError, Run};
use serde::{Deserialize, Serialize};

/// Reads a file.
#[derive(Serialize, Deserialize)]
struct ReadFile {}

impl Job for ReadFile {
    const KIND: &'static str = "read_file";
    type State = ();
    type Outcome = String;

    async fn run(&self, _: &Run<()>) -> Result<String, JobError> {
        Ok(std::fs::read_to_string("a file")?)
    }
}

fn main() {}

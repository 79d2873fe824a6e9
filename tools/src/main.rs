//! Developer tools. `make` calls them; `tools --help` lists them.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    tools::main().await
}

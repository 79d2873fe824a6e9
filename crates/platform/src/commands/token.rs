//! `api token`

use std::time::Duration;

use auth::development_token;
use clap::Args as ClapArgs;
use runtime::Environment;

use crate::{Definition, Settings};

const VALID_FOR: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(ClapArgs)]
pub(super) struct Args {
    /// Whose token it is.
    #[arg(long)]
    subject: String,
    /// What it allows, with spaces between; without this, everything.
    #[arg(long)]
    scope: Option<String>,
}

pub(super) fn issue(args: &Args, settings: &Settings, definition: &Definition) -> anyhow::Result<String> {
    anyhow::ensure!(
        settings.service.environment == Environment::Development,
        "tokens are made here only in development; in {} the identity provider signs them",
        settings.service.environment.as_str()
    );
    anyhow::ensure!(!args.subject.is_empty(), "--subject must not be empty");
    let everything = || {
        let scopes = definition.contract().operations().routes().scopes();
        scopes.into_iter().collect::<Vec<_>>().join(" ")
    };
    let scope = args.scope.clone().unwrap_or_else(everything);
    development_token(&settings.auth, &args.subject, &scope, VALID_FOR)
}

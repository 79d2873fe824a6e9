//! `api token`: issues a bearer token for development.

use std::time::Duration;

use auth::development_token;
use clap::Args as ClapArgs;
use runtime::Environment;

use crate::{ServiceDefinition, Settings};

const LIFETIME: Duration = Duration::from_hours(24);

#[derive(ClapArgs)]
pub(super) struct Args {
    /// Subject of the token.
    #[arg(long)]
    subject: String,
    /// Scopes of the token, separated by spaces; by default, all scopes that the service uses.
    #[arg(long)]
    scope: Option<String>,
}

pub(super) fn issue(
    args: &Args,
    settings: &Settings,
    definition: &ServiceDefinition,
) -> anyhow::Result<String> {
    anyhow::ensure!(
        settings.service.environment == Environment::Development,
        "this command issues tokens only in development; in {} the identity provider issues them",
        settings.service.environment.as_str()
    );
    anyhow::ensure!(!args.subject.is_empty(), "--subject must not be empty");
    let all_scopes = || {
        let scopes = definition.contract().operations().routes().scopes();
        scopes.into_iter().collect::<Vec<_>>().join(" ")
    };
    let scope = args.scope.clone().unwrap_or_else(all_scopes);
    development_token(&settings.auth, &args.subject, &scope, LIFETIME)
}

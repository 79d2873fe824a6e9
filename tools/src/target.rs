//! The service that a tool calls: that of the compose stack, or any other by its address.

use crate::{Failure, load::Caller, stack};

/// The options that choose the service to call.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// Address of the service, such as http://127.0.0.1:8080. Without it: that of the compose stack.
    #[arg(long, env = "URL", requires = "token")]
    url: Option<String>,
    /// Bearer token for the service at that address.
    #[arg(long, env = "TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl Target {
    /// A caller of the service. On the compose stack it acts as `subject`.
    pub(crate) async fn caller(&self, subject: &str) -> Result<Caller, Failure> {
        match (&self.url, &self.token) {
            (Some(url), Some(token)) => {
                Caller::connect(url.trim_end_matches('/').to_owned(), token.clone()).await
            }
            _ => stack::caller_of(subject).await,
        }
    }

    /// Whether the service is that of the compose stack, which belongs to this machine alone.
    pub(crate) fn is_the_stack(&self) -> bool {
        self.url.is_none()
    }

    /// The address of a trace in the stack's Jaeger; the id alone elsewhere, or if Jaeger is left out.
    pub(crate) fn trace(&self, trace_id: &str) -> String {
        let link = self.is_the_stack().then(|| stack::link(trace_id).ok()).flatten();
        link.unwrap_or_else(|| trace_id.to_owned())
    }
}

//! The context of a request, the phases of the process, and the work that must not be interrupted.

mod context;
mod lifecycle;
mod settings;

pub use self::settings::{Environment, RetrySettings, ServiceSettings, ShutdownSettings};
pub use context::{DatabaseTimer, RequestContext};
pub use lifecycle::{Lifecycle, Phase};

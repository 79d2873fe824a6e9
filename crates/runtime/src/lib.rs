//! The context of a request, the phases of the process, and the work that must not be interrupted.

mod context;
mod lifecycle;
mod settings;
mod tls;

pub use self::settings::{
    Environment, MANAGEMENT_STOP, RUNTIME_STOP, RetrySettings, ServiceSettings, ShutdownSettings,
};
pub use context::{DatabaseTimer, RequestContext, TimeLimit};
pub use lifecycle::{Lifecycle, Phase};
pub use tls::{Tls, TlsSettings};

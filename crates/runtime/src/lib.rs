//! What a request and a process are: identity, time and accounts of one request, the phases of the process, and the
//! work that must not be cut off.

mod context;
mod lifecycle;
mod settings;

pub use self::settings::{Environment, RetrySettings, ServiceSettings, ShutdownSettings};
pub use context::{DatabaseTimer, RequestContext};
pub use lifecycle::{Lifecycle, Phase};

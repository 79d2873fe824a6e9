//! Authentication and authorization: bearer tokens, scopes and their refusals. No web framework.

mod refusal;
mod scope;
mod settings;
mod token;

pub use self::settings::{Algorithm, DEVELOPMENT_SECRET, Settings};
pub use refusal::{AuthRefusal, Challenge, MissingScope};
pub use scope::{Access, Scope};
pub use token::{Authenticator, Claims, development_token};

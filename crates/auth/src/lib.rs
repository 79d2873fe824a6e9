//! Authentication and authorization: bearer tokens, scopes and their refusals. No web framework.

mod authenticator;
mod claims;
mod development;
mod hash;
mod jwks;
mod keys;
mod refusal;
mod scope;
mod settings;

pub use self::settings::{Algorithm, DEVELOPMENT_HASH_KEY, DEVELOPMENT_SECRET, Settings};
pub use authenticator::Authenticator;
pub use claims::Claims;
pub use development::development_token;
pub use hash::KeyedHash;
pub use refusal::{AuthRefusal, Challenge, Credentials, KeysUnavailable, MissingScope};
pub use scope::{Access, Scope};

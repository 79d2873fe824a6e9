//! Configuration in layers: built-in defaults ← `default.toml` (compiled in) ← `{environment}.toml` ←
//! `APP__SECTION__KEY` ← `APP__SECTION__KEY__FILE`.
//!
//! Each crate declares its own section, and a service combines the sections:
//!
//! ```
//! use std::time::Duration;
//!
//! /// The database.
//! #[derive(Debug, settings::Settings)]
//! #[settings(check = DatabaseSettings::check)]
//! struct DatabaseSettings {
//!     /// The number of connections.
//!     #[setting(default = 16, min = 1)]
//!     pool_size: usize,
//!     /// The time limit for acquiring a connection.
//!     #[setting(default = Duration::from_millis(250), min = Duration::from_millis(1))]
//!     acquire_timeout: Duration,
//! }
//!
//! impl DatabaseSettings {
//!     /// Rules that the range of a single key cannot express.
//!     fn check(&self, errors: &mut settings::Errors) {
//!         if self.pool_size > 500 {
//!             errors.add("pool_size", "is more than the server allows; lower it");
//!         }
//!     }
//! }
//!
//! #[derive(Debug, settings::Settings)]
//! struct Settings {
//!     #[setting(section)]
//!     database: DatabaseSettings,
//! }
//!
//! let variables = [("APP__DATABASE__POOL_SIZE".to_owned(), "0".to_owned())];
//! let loaded = settings::load_from::<Settings>("", "/none".as_ref(), variables);
//! assert_eq!(loaded.errors[0].to_string(), "database.pool_size: `0` is invalid: must be at least 1");
//! ```
//!
//! Reading never stops at the first error: [`Loaded::errors`] has all of them.

mod document;
mod error;
mod key;
mod keys;
mod layers;
mod load;
mod reader;
mod setting;

pub use document::{json_schema, markdown};
pub use error::{ConfigError, Errors};
pub use key::Key;
pub use keys::{KeyDoc, Keys};
pub use load::{Loaded, load, load_from};
pub use macros::{Choice, Settings};
pub use reader::Reader;
pub use secrecy::{ExposeSecret, SecretString};
pub use setting::{Schema, Setting};

/// The key that names the environment, and thereby the file `{environment}.toml`.
pub const ENVIRONMENT: &str = "service.environment";
/// The environment that applies where none is named.
pub(crate) const DEVELOPMENT: &str = "development";

/// A section of the configuration, or several combined. Derive it:
///
/// - Each field is a key, documented by its doc comment. `#[setting(default = …, min = …, above = …, max = …)]` takes
///   expressions of the field's type; without `default`, the default is that of the type. `in_development = …` is another
///   default for the environment `development`.
/// - `#[setting(section)]` on a field makes it a section under the field's name.
/// - `#[setting(flatten)]` on a field adds its sections to those of this struct.
/// - `#[settings(check = path)]` on the struct names a `fn(&Self, &mut Errors)` for rules between keys.
pub trait Settings: Sized {
    /// Reads every key. For an invalid value, the reader collects an error and the key has its default.
    fn read(reader: &mut Reader) -> Self;

    /// Lists every key.
    fn document(keys: &mut Keys);

    /// Checks the rules between keys.
    fn check(&self, errors: &mut Errors);
}

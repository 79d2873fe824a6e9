//! What is tested.

use platform::Service;

/// A service that is tested in this process.
pub trait UnderTest: 'static {
    /// Its settings.
    type Settings: settings::Settings + AsRef<platform::Settings> + Send + Sync;
    /// Its state.
    type State: Send + Sync + 'static;

    /// The service.
    fn service() -> &'static Service<Self::Settings, Self::State>;
}

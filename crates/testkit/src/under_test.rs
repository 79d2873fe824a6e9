//! The service under test.

use platform::Service;

/// A service that runs in the test process to be tested.
pub trait UnderTest: 'static {
    /// The settings of the service.
    type Settings: settings::Settings + AsRef<platform::Settings> + Send + Sync;
    /// The state of the service.
    type State: Send + Sync + 'static;

    /// The definition of the service.
    fn service() -> &'static Service<Self::Settings, Self::State>;
}

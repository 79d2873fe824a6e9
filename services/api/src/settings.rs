//! The settings of this service.

use crate::supplier::SupplierSettings; // sample

/// The settings of this service: those that every service has, and its own.
#[derive(Clone, Debug, settings::Settings)]
pub struct Settings {
    /// The settings that every service has.
    #[setting(flatten)]
    pub platform: platform::Settings,
    // sample: begin
    /// The sample third party.
    #[setting(section)]
    pub supplier: SupplierSettings,
    // sample: end
}

impl AsRef<platform::Settings> for Settings {
    fn as_ref(&self) -> &platform::Settings {
        &self.platform
    }
}

//! The jobs of this service. One file each, a line for each below.

mod build_report;
mod send_confirmation;

pub(crate) use build_report::BuildReport;
pub(crate) use send_confirmation::SendConfirmation;

use platform::jobs::JobKind;

pub(crate) const ALL: &[JobKind] = &[JobKind::of::<BuildReport>(), JobKind::of::<SendConfirmation>()];

//! The jobs of this service. One file each, a line for each below.

mod build_report; // sample
mod send_confirmation; // sample

pub(crate) use build_report::BuildReport; // sample
pub(crate) use send_confirmation::SendConfirmation; // sample

use jobs::JobKind;

use crate::state::Api;

pub(crate) const ALL: &[JobKind<Api>] = &[
    JobKind::of::<BuildReport>(),      // sample
    JobKind::of::<SendConfirmation>(), // sample
];

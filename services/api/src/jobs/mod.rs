//! The jobs of this service: one file for each, and one line in the list below.

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

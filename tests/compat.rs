//! Queued jobs survive an upgrade and a rollback. `payloads.json` has the payloads that this release enqueues.

use api::SERVICE;
use jobs::{Payloads, payloads, unreadable};

/// The payloads of this release, or of another release: `dev/compat` names the file in `PAYLOADS`.
fn recorded_payloads() -> Payloads {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/payloads.json");
    let file = std::env::var("PAYLOADS").unwrap_or_else(|_| own.to_owned());
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn payloads_of_a_release_can_be_read() {
    assert_eq!(unreadable(SERVICE.kinds(), &recorded_payloads()), [""; 0]);
}

#[test]
fn every_kind_of_job_has_a_sample() {
    for (kind, samples) in payloads(SERVICE.kinds()) {
        assert!(
            !samples.is_empty(),
            "{kind} has no sample: implement `Job::samples`"
        );
    }
}

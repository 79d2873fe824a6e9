//! Jobs in the queue survive a release, in both directions: `payloads.json` has what this one queues.

use api::SERVICE;
use jobs::{Payloads, payloads, unreadable};

/// The file of this release, or the one of another that `dev/compat` names.
fn kept() -> Payloads {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/payloads.json");
    let file = std::env::var("PAYLOADS").unwrap_or_else(|_| own.to_owned());
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn what_a_release_has_queued_is_read() {
    assert_eq!(unreadable(SERVICE.kinds(), &kept()), [""; 0]);
}

#[test]
fn every_kind_of_job_has_a_sample() {
    for (kind, samples) in payloads(SERVICE.kinds()) {
        assert!(!samples.is_empty(), "{kind} has none: write its `Job::samples`");
    }
}

//! What is queued survives a release, and old and new workers take from the same queue: what this release queues,
//! and whether it reads what another one has queued.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{HOUSEKEEPING, Job, JobKind};

/// What jobs are queued with, by their kind.
pub type Payloads = BTreeMap<String, Vec<Value>>;

/// Samples of what these jobs and the platform's own are queued with.
pub fn payloads(jobs: &[JobKind]) -> Payloads {
    let kinds = jobs.iter().chain(HOUSEKEEPING);
    kinds.map(|kind| (kind.name.to_owned(), queued(kind))).collect()
}

fn queued(kind: &JobKind) -> Vec<Value> {
    let by_the_clock = kind.every.map(|_| json!({}));
    by_the_clock.into_iter().chain((kind.samples)()).collect()
}

/// Which of `payloads` these jobs and the platform's own cannot read, and why. A kind that is not known here is left
/// out: it waits for a newer worker.
pub fn unreadable(jobs: &[JobKind], payloads: &Payloads) -> Vec<String> {
    let mut unreadable = Vec::new();
    for kind in jobs.iter().chain(HOUSEKEEPING) {
        for payload in payloads.get(kind.name).into_iter().flatten() {
            if let Err(error) = (kind.reads)(payload.clone()) {
                unreadable.push(format!("{} {payload}: {error}", kind.name));
            }
        }
    }
    unreadable
}

/// The one way from the queue to a job.
pub(super) fn read<J: Job>(payload: Value) -> Result<J, String> {
    serde_json::from_value(payload).map_err(|error| format!("the payload cannot be read: {error}"))
}

pub(super) fn reads<J: Job>(payload: Value) -> Result<(), String> {
    read::<J>(payload).map(drop)
}

pub(super) fn samples<J: Job>() -> Vec<Value> {
    let samples = J::samples();
    samples
        .iter()
        .map(|sample| serde_json::to_value(sample).expect("payloads serialize"))
        .collect()
}

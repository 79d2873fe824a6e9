//! What is queued survives a release, and old and new workers take from the same queue: what this release queues,
//! and whether it reads what another one has queued.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Job, JobKind, MAINTENANCE_JOBS};

/// What jobs are queued with, by their kind.
pub type Payloads = BTreeMap<String, Vec<Value>>;

/// Samples of what these jobs and the platform's own are queued with.
pub fn payloads<S>(jobs: &[JobKind<S>]) -> Payloads {
    let own = MAINTENANCE_JOBS
        .iter()
        .map(|kind| (kind.name.to_owned(), queued(kind)));
    let jobs = jobs.iter().map(|kind| (kind.name.to_owned(), queued(kind)));
    jobs.chain(own).collect()
}

fn queued<S>(kind: &JobKind<S>) -> Vec<Value> {
    let by_the_clock = kind.every.map(|_| json!({}));
    by_the_clock.into_iter().chain((kind.samples)()).collect()
}

/// Which of `payloads` these jobs and the platform's own cannot read, and why. A kind that is not known here is left
/// out: it waits for a newer worker.
pub fn unreadable<S>(jobs: &[JobKind<S>], payloads: &Payloads) -> Vec<String> {
    let own = MAINTENANCE_JOBS.iter().map(|kind| (kind.name, kind.reads));
    let jobs = jobs.iter().map(|kind| (kind.name, kind.reads));
    let mut unreadable = Vec::new();
    for (name, reads) in jobs.chain(own) {
        for payload in payloads.get(name).into_iter().flatten() {
            if let Err(error) = reads(payload.clone()) {
                unreadable.push(format!("{name} {payload}: {error}"));
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

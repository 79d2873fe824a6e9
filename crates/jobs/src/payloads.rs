//! Payloads across releases: workers of two releases claim from the same queue, so each must read what the other has
//! enqueued.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Job, JobKind, MAINTENANCE_JOBS};

/// Payloads by kind.
pub type Payloads = BTreeMap<String, Vec<Value>>;

/// The sample payloads of these jobs and of the platform's own.
pub fn payloads<S>(jobs: &[JobKind<S>]) -> Payloads {
    let own = MAINTENANCE_JOBS
        .iter()
        .map(|kind| (kind.properties.name.to_owned(), queued(kind)));
    let jobs = jobs
        .iter()
        .map(|kind| (kind.properties.name.to_owned(), queued(kind)));
    jobs.chain(own).collect()
}

fn queued<S>(kind: &JobKind<S>) -> Vec<Value> {
    let by_the_clock = kind.properties.schedule.map(|_| json!({}));
    by_the_clock.into_iter().chain((kind.samples)()).collect()
}

/// The `payloads` that these jobs and the platform's own cannot read, with the reason. Payloads of unknown kinds are left
/// out: such runs stay queued until a worker knows their kind.
pub fn unreadable<S>(jobs: &[JobKind<S>], payloads: &Payloads) -> Vec<String> {
    let own = MAINTENANCE_JOBS
        .iter()
        .map(|kind| (kind.properties.name, kind.reads));
    let jobs = jobs.iter().map(|kind| (kind.properties.name, kind.reads));
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

/// Reads a payload.
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

//! A constant rate of requests, which run the flows of the service, and their outcomes.

#![expect(
    clippy::disallowed_methods,
    reason = "a tool has no shutdown to wait in, and calls what it started"
)]

mod caller;
mod command;

pub(crate) use caller::{Caller, response};
pub(crate) use command::{Args, run};

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use testkit::Flow;
use tokio::{task::JoinHandle, time::sleep_until};

/// The outcome of one request.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// When the request was sent.
    pub sent: Instant,
    /// Time until the response was read, or the request failed.
    pub took: Duration,
    /// Method and path of the operation, without ids.
    pub operation: Arc<str>,
    /// The status, followed by the problem's code if there is one; `lost` if no response arrived.
    pub result: String,
    /// Whether a write may have taken effect although it failed.
    pub is_unknown: bool,
    /// The id of the request's trace, where it is known.
    pub trace_id: Option<String>,
}

impl Outcome {
    /// Whether the status is 2xx.
    pub(crate) fn is_ok(&self) -> bool {
        self.result.starts_with('2')
    }
}

/// A stream of requests, sent until this value is dropped.
pub(crate) struct Load {
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    sending: JoinHandle<()>,
}

impl Load {
    /// Starts running the flows of `caller`, each as often as its weight says, with one request per `period` on average.
    pub(crate) fn start(caller: Caller, period: Duration) -> Self {
        let outcomes = Arc::<Mutex<Vec<Outcome>>>::default();
        let collected = outcomes.clone();
        let sending = tokio::spawn(async move {
            let rotation = rotation(caller.flows());
            let mut next = tokio::time::Instant::now();
            for index in rotation.into_iter().cycle() {
                let (caller, collected) = (caller.clone(), collected.clone());
                let steps = caller.flows()[index].steps.len();
                tokio::spawn(async move {
                    let record = |outcome| collected.lock().expect("not poisoned").push(outcome);
                    caller.run(&caller.flows()[index], record).await;
                });
                // After a pause of this process, nothing is sent to catch up.
                next = next.max(tokio::time::Instant::now()) + period * u32::try_from(steps).unwrap_or(1);
                sleep_until(next).await;
            }
        });
        Self { outcomes, sending }
    }

    /// Stops sending and waits for the last responses, at most for `limit`; returns all outcomes.
    pub(crate) async fn finish(self, limit: Duration) -> Vec<Outcome> {
        self.sending.abort();
        let began = Instant::now();
        // Each running flow holds a clone.
        while Arc::strong_count(&self.outcomes) > 1 && began.elapsed() < limit {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.outcomes.lock().expect("not poisoned").clone()
    }

    /// The outcomes of completed requests that were sent since `moment`.
    pub(crate) fn since(&self, moment: Instant) -> Vec<Outcome> {
        let outcomes = self.outcomes.lock().expect("not poisoned");
        outcomes
            .iter()
            .filter(|outcome| outcome.sent >= moment)
            .cloned()
            .collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.sending.abort();
    }
}

/// The indexes of the flows in an order in which each appears as often as its weight says, evenly spread.
pub(crate) fn rotation(flows: &[Flow]) -> Vec<usize> {
    let mut turns: Vec<(f64, usize)> = Vec::new();
    for (index, flow) in flows.iter().enumerate() {
        let weight = f64::from(flow.weight);
        turns.extend((0..flow.weight).map(|turn| ((f64::from(turn) + 0.5) / weight, index)));
    }
    turns.sort_by(|a, b| a.0.total_cmp(&b.0));
    turns.into_iter().map(|(_, index)| index).collect()
}

/// The time within which this percentage of the requests ended; `None` if there were none.
pub(crate) fn percentile(outcomes: &[Outcome], percent: usize) -> Option<Duration> {
    let mut times: Vec<Duration> = outcomes.iter().map(|outcome| outcome.took).collect();
    times.sort_unstable();
    let last = times.len().checked_sub(1)?;
    Some(times[(times.len() * percent / 100).min(last)])
}

/// Counts each result, by operation.
pub(crate) fn tally(outcomes: &[Outcome]) -> BTreeMap<(Arc<str>, String), usize> {
    let mut tally = BTreeMap::new();
    for outcome in outcomes {
        *tally
            .entry((outcome.operation.clone(), outcome.result.clone()))
            .or_default() += 1;
    }
    tally
}

#[cfg(test)]
mod tests {
    use testkit::Criticality;

    use super::*;

    #[test]
    fn a_rotation_spreads_the_flows_by_their_weights() {
        let flow = |weight| Flow {
            name: String::new(),
            steps: Vec::new(),
            weight,
            criticality: Criticality::Normal,
        };
        assert_eq!(rotation(&[flow(4), flow(1), flow(1)]), [0, 0, 1, 2, 0, 0]);
        assert_eq!(rotation(&[]), [0; 0]);
    }
}

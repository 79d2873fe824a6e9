//! One attempt at a job, as the job sees it.

use std::sync::{Arc, Mutex, PoisonError};

use database::Database;
use runtime::RequestContext;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::recording::storable;

/// The characters of a progress message that are stored.
const LONGEST_MESSAGE: usize = 500;

/// One attempt at a job.
#[derive(Debug)]
pub struct Run<S> {
    /// The id of the job, the same for every attempt.
    pub id: Uuid,
    /// The number of the attempt, from 1.
    pub attempt: i32,
    /// The subject whose job it is; `None` for a job that the service enqueued for itself.
    pub subject: Option<String>,
    /// Identity and deadline, as of a request.
    pub context: RequestContext,
    /// The database, with the connections for jobs.
    pub database: Database,
    /// The state of the service.
    pub state: Arc<S>,
    pub(crate) controls: Arc<Controls>,
}

/// The progress of a run.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// The completed share of the work, between 0 and 1.
    #[schema(minimum = 0, maximum = 1, example = 0.4)]
    pub fraction: f64,
    /// What the job is doing.
    #[schema(example = "2 of 5 months")]
    pub message: String,
}

/// Signals between a worker and an attempt.
#[derive(Debug, Default)]
pub(crate) struct Controls {
    /// An operator has asked for the end of the run.
    pub(crate) cancelled: CancellationToken,
    /// The lease has expired: another worker may have started the run.
    pub(crate) lost: CancellationToken,
    progress: Mutex<Option<Progress>>,
}

impl Controls {
    /// The progress reported since the last call.
    pub(crate) fn take_progress(&self) -> Option<Progress> {
        self.progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl<S> Run<S> {
    /// Reports the completed share of the work (limited to 0 to 1; NaN is 0) and what the job is doing (the first 500
    /// characters are stored). The owner of the job sees the latest report within a few seconds; a report costs no query.
    pub fn progress(&self, fraction: f64, message: impl AsRef<str>) {
        let progress = Progress {
            fraction: if fraction.is_nan() {
                0.0
            } else {
                fraction.clamp(0.0, 1.0)
            },
            message: storable(message.as_ref(), LONGEST_MESSAGE),
        };
        let mut latest = self
            .controls
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *latest = Some(progress);
    }

    /// Waits until an operator cancels the run. A job that can stop early returns any [`JobError`](crate::JobError)
    /// then; one that does not is aborted after `Job::CANCEL_GRACE`.
    pub async fn cancelled(&self) {
        self.controls.cancelled.cancelled().await;
    }

    /// Whether an operator has cancelled the run.
    pub fn is_cancelled(&self) -> bool {
        self.controls.cancelled.is_cancelled()
    }
}

impl Run<()> {
    pub(crate) fn with_state<S>(self, state: Arc<S>) -> Run<S> {
        Run {
            id: self.id,
            attempt: self.attempt,
            subject: self.subject,
            context: self.context,
            database: self.database,
            state,
            controls: self.controls,
        }
    }
}

//! Has the supplier tell a customer that an order was placed.

use std::time::Duration;

use jobs::{Job, JobError, Run};
use outcome::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use upstream::{Answer, UpstreamFault};
use uuid::Uuid;

use crate::{problems, resources::orders::OrderById, state::Api};

/// While the supplier is left alone.
const NOT_ASKED: Duration = Duration::from_secs(5);

/// Of this order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SendConfirmation {
    pub(crate) order_id: Uuid,
}

/// Whether anything was sent: not for an order that was cancelled meanwhile.
#[derive(Debug, Serialize)]
pub(crate) struct Confirmation {
    sent: bool,
}

impl Job for SendConfirmation {
    const KIND: &'static str = "send_confirmation";
    const ATTEMPTS: i32 = 8;
    const TIMEOUT: Duration = Duration::from_secs(10);
    type State = Api;
    type Outcome = Confirmation;

    fn samples() -> Vec<Self> {
        vec![Self {
            order_id: Uuid::nil(),
        }]
    }

    async fn run(&self, run: &Run<Api>) -> Result<Confirmation, JobError> {
        run.context.annotate("order.id", self.order_id);
        let order = run.database.read(&OrderById(self.order_id), &run.context).await;
        let order = order.map_err(|fault| JobError::retry(fault.into_cause()))?;
        let Some(order) = order.filter(|order| !order.is_cancelled()) else {
            return Ok(Confirmation { sent: false });
        };
        let notification = json!({ "order_id": self.order_id, "email": order.order.customer_email });
        match run
            .state
            .supplier
            .notify(&run.context, &run.id, &notification)
            .await
        {
            Ok(Answer::Value(_)) => Ok(Confirmation { sent: true }),
            Ok(Answer::Refused(status)) => {
                let cause = format!("the supplier refuses the notification with {status}");
                Err(JobError::fail(&problems::NOTIFICATION_REJECTED, cause))
            }
            // Not asked, or asked to wait: no attempt of ours.
            Err(UpstreamFault::Throttled(wait)) => Err(JobError::later(wait, "the supplier asks to wait")),
            Err(fault @ (UpstreamFault::Open | UpstreamFault::Saturated)) => {
                Err(JobError::later(NOT_ASKED, fault.into_cause()))
            }
            Err(fault) => Err(JobError::retry(fault.into_cause())),
        }
    }
}

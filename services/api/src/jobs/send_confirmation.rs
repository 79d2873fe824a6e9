//! The job that has the supplier confirm an order to its customer.

use std::time::Duration;

use jobs::{Job, JobError, Run};
use serde::{Deserialize, Serialize};
use serde_json::json;
use upstream::UpstreamResponse;
use uuid::Uuid;

use crate::{problems, resources::orders::OrderById, state::Api};

/// Confirms this order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SendConfirmation {
    pub(crate) order_id: Uuid,
}

/// The result: nothing is sent for an order that was cancelled in the meantime.
#[derive(Debug, Serialize)]
pub(crate) struct Confirmation {
    sent: bool,
}

impl Job for SendConfirmation {
    const KIND: &'static str = "send_confirmation";
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
        let order = order.map_err(JobError::database)?;
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
            Ok(UpstreamResponse::Value(_)) => Ok(Confirmation { sent: true }),
            Ok(UpstreamResponse::Refused(status)) => {
                let cause = format!("the supplier rejected the notification with status {status}");
                Err(JobError::fail(&problems::NOTIFICATION_REJECTED, cause))
            }
            Err(error) => Err(JobError::upstream(error)),
        }
    }
}

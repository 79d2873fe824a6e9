//! The supplier: a third party that quotes, delivers and notifies. The one place that knows its API.

use std::time::Duration;

use cache::{Kept, LastKnown};
use chrono::{DateTime, NaiveDate, Utc};
use platform::Platform;
use reqwest::Url;
use runtime::RequestContext;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use upstream::{Answer, Call, Upstream, UpstreamFault};
use uuid::Uuid;

/// The sample third party.
#[derive(Clone, Debug, settings::Settings)]
pub struct SupplierSettings {
    /// Where it is.
    #[setting(default = Url::parse("http://127.0.0.1:8090").expect("an address"))]
    pub url: Url,
}

/// A client of the supplier. Clones share its breaker and bulkhead.
#[derive(Clone, Debug)]
pub(crate) struct Supplier {
    upstream: Upstream,
    deliveries: LastKnown<DeliveryEstimate>,
}

/// A price, and until when it holds.
#[derive(Debug, Deserialize)]
pub(crate) struct SupplierQuote {
    pub(crate) total_cents: i64,
    pub(crate) currency: String,
    pub(crate) valid_until: DateTime<Utc>,
}

/// When an order is expected.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DeliveryEstimate {
    pub(crate) estimated_on: NaiveDate,
}

impl Kept for DeliveryEstimate {
    const KIND: &'static str = "delivery";
}

impl Supplier {
    /// The one client of this process: its breaker is in the metrics from the start.
    pub(crate) fn new(settings: &SupplierSettings, platform: &Platform) -> anyhow::Result<Self> {
        Ok(Self {
            upstream: platform.upstream("supplier", settings.url.clone()),
            deliveries: platform.last_known()?,
        })
    }

    /// A price for these items. Asking has no effect, so it may be repeated.
    pub(crate) async fn quote(
        &self,
        context: &RequestContext,
        currency: &str,
        items: &impl Serialize,
    ) -> Result<Answer<SupplierQuote>, UpstreamFault> {
        let call = Call::post("/v1/quotes", items).refusals(&[422]).safe_to_repeat();
        let agrees = |quote: &SupplierQuote| quote.total_cents >= 0 && quote.currency == currency;
        self.upstream.call_for(context, &call, agrees).await
    }

    /// When an order is expected; nothing where the supplier does not know it. Asked once: it is an extra.
    pub(crate) async fn delivery(
        &self,
        context: &RequestContext,
        order: &Uuid,
    ) -> Result<Option<DeliveryEstimate>, UpstreamFault> {
        let call = Call::get(format!("/v1/deliveries/{order}"))
            .refusals(&[404])
            .once();
        Ok(match self.upstream.call(context, &call).await? {
            Answer::Value(estimate) => {
                self.deliveries.keep(&order.to_string(), &estimate);
                Some(estimate)
            }
            Answer::Refused(_) => None,
        })
    }

    /// What the supplier said last, and how long ago.
    pub(crate) async fn last_delivery(
        &self,
        context: &RequestContext,
        order: &Uuid,
    ) -> Option<(DeliveryEstimate, Duration)> {
        self.deliveries.get(context, &order.to_string()).await
    }

    /// Has a customer told that an order was placed; once per key, however often it is asked for.
    pub(crate) async fn notify(
        &self,
        context: &RequestContext,
        key: &Uuid,
        notification: &impl Serialize,
    ) -> Result<Answer<IgnoredAny>, UpstreamFault> {
        let call = Call::post("/v1/notifications", notification)
            .refusals(&[422])
            .idempotency_key(key.to_string());
        self.upstream.call(context, &call).await
    }
}

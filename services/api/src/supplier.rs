//! The supplier, a third party that quotes, delivers and notifies. Only this file knows the supplier's API.

use std::time::Duration;

use cache::{FallbackCache, FallbackValue};
use chrono::{DateTime, NaiveDate, Utc};
use platform::Platform;
use reqwest::Url;
use runtime::RequestContext;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use upstream::{Call, Upstream, UpstreamError, UpstreamResponse};
use uuid::Uuid;

/// The sample third party.
#[derive(Clone, Debug, settings::Settings)]
pub struct SupplierSettings {
    /// The base URL of the supplier.
    #[setting(default = Url::parse("http://127.0.0.1:8090").expect("a valid URL"))]
    pub url: Url,
    /// How the supplier is called.
    #[setting(flatten)]
    pub upstream: upstream::Settings,
}

/// A client of the supplier. Clones share its circuit breaker and concurrency limit.
#[derive(Clone, Debug)]
pub(crate) struct Supplier {
    upstream: Upstream,
    deliveries: FallbackCache<DeliveryEstimate>,
}

/// A price and the time until which it is valid.
#[derive(Debug, Deserialize)]
pub(crate) struct SupplierQuote {
    pub(crate) total_cents: i64,
    pub(crate) currency: String,
    pub(crate) valid_until: DateTime<Utc>,
}

/// The delivery estimate of an order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DeliveryEstimate {
    pub(crate) estimated_on: NaiveDate,
}

impl FallbackValue for DeliveryEstimate {
    const KIND: &'static str = "delivery";
}

impl Supplier {
    /// Creates the client, once per process at startup, so that its circuit breaker is in the metrics from the start.
    pub(crate) fn new(settings: &SupplierSettings, platform: &Platform) -> anyhow::Result<Self> {
        Ok(Self {
            upstream: platform.upstream("supplier", &settings.url, &settings.upstream),
            deliveries: platform.fallback_cache()?,
        })
    }

    /// Requests a price for these items. The call has no side effects, so it may be retried.
    pub(crate) async fn quote(
        &self,
        context: &RequestContext,
        currency: &str,
        items: &impl Serialize,
    ) -> Result<UpstreamResponse<SupplierQuote>, UpstreamError> {
        let call = Call::post(["v1", "quotes"], items)
            .refusals(&[422])
            .safe_to_repeat();
        let matches_request = |quote: &SupplierQuote| quote.total_cents >= 0 && quote.currency == currency;
        self.upstream.call_for(context, &call, matches_request).await
    }

    /// Returns the delivery estimate of an order, or `None` if the supplier does not know the order. The call is not
    /// retried: the estimate is optional.
    pub(crate) async fn delivery(
        &self,
        context: &RequestContext,
        order: &Uuid,
    ) -> Result<Option<DeliveryEstimate>, UpstreamError> {
        let call = Call::get(["v1", "deliveries", &order.to_string()])
            .refusals(&[404])
            .once();
        Ok(match self.upstream.call(context, &call).await? {
            UpstreamResponse::Value(estimate) => {
                self.deliveries.store(&order.to_string(), &estimate);
                Some(estimate)
            }
            UpstreamResponse::Refused(_) => None,
        })
    }

    /// Returns the last known delivery estimate and its age.
    pub(crate) async fn last_delivery(
        &self,
        context: &RequestContext,
        order: &Uuid,
    ) -> Option<(DeliveryEstimate, Duration)> {
        self.deliveries.get(context, &order.to_string()).await
    }

    /// Notifies a customer that an order was placed. Calls with the same key send one notification.
    pub(crate) async fn notify(
        &self,
        context: &RequestContext,
        key: &Uuid,
        notification: &impl Serialize,
    ) -> Result<UpstreamResponse<IgnoredAny>, UpstreamError> {
        let call = Call::post(["v1", "notifications"], notification)
            .refusals(&[422])
            .idempotency_key(key.to_string());
        self.upstream.call(context, &call).await
    }
}

//! The problem types of this service, in addition to the common ones. Paths are written out so that removing the sample
//! leaves no unused import.

use outcome::{Catalogue, ProblemType, common};

// sample: begin
/// No order has this id, or the order belongs to another subject.
pub static ORDER_NOT_FOUND: ProblemType = ProblemType {
    code: "order-not-found",
    status: outcome::ErrorStatus::new(404),
    title: "Order not found",
    origin: outcome::Origin::Client,
    retry: outcome::Retry::Never,
    advice: "Check the id. Orders of other subjects are reported as not found, too.",
    user_message: "This order does not exist.",
    operator_hint: "A client error. Many from one subject can be an attempt to guess ids.",
};

/// The order existed and was cancelled.
pub static ORDER_GONE: ProblemType = ProblemType {
    code: "order-gone",
    status: outcome::ErrorStatus::new(410),
    title: "The order was cancelled",
    origin: outcome::Origin::Client,
    retry: outcome::Retry::Never,
    advice: "Discard the id. In response to a retried DELETE, this confirms that the order is cancelled.",
    user_message: "This order was cancelled.",
    operator_hint: "A client error or a retried DELETE. No action is needed.",
};

/// The supplier refuses to quote a price.
pub static QUOTE_REJECTED: ProblemType = ProblemType {
    code: "quote-rejected",
    status: outcome::ErrorStatus::new(422),
    title: "The supplier offers no price for these items",
    origin: outcome::Origin::Client,
    retry: outcome::Retry::Never,
    advice: "Change the items or the currency: the supplier refused at least one of them.",
    user_message: "We cannot offer a price for this.",
    operator_hint: "A client error. A sudden increase suggests that the supplier changed its product range.",
};

/// The supplier refuses to send a notification.
pub static NOTIFICATION_REJECTED: ProblemType = ProblemType {
    code: "notification-rejected",
    status: outcome::ErrorStatus::new(422),
    title: "The confirmation was rejected",
    origin: outcome::Origin::Client,
    retry: outcome::Retry::Never,
    advice: "Check the customer's e-mail address.",
    user_message: "We could not send a confirmation to this address.",
    operator_hint: "The supplier rejected a `send_confirmation` job; `api jobs show` has the HTTP status.",
};
// sample: end

/// The problem types of this service.
pub const OWN: &[&ProblemType] = &[
    // sample: begin
    &ORDER_NOT_FOUND,
    &ORDER_GONE,
    &QUOTE_REJECTED,
    &NOTIFICATION_REJECTED,
    // sample: end
];

/// All problem types that this service can return.
pub static CATALOGUE: Catalogue = Catalogue::new(&[common::ALL, ::jobs::problems::ALL, OWN]);

//! The problem types of this service, besides the common ones. Paths are written out, so that no import is left over when
//! the sample goes.

use outcome::{Catalogue, ProblemType, common};

// sample: begin
/// There is no such order for this subject.
pub static ORDER_NOT_FOUND: ProblemType = ProblemType {
    code: "order-not-found",
    status: outcome::ErrorStatus::new(404),
    title: "There is no such order",
    actor: outcome::Actor::Caller,
    retry: outcome::Retry::Never,
    advice: "Check the id. An order of another subject does not exist for you either.",
    user_message: "This order does not exist.",
    runbook: "A caller's fault. Many from one subject can be an attempt to guess ids.",
};

/// The order existed and was cancelled.
pub static ORDER_GONE: ProblemType = ProblemType {
    code: "order-gone",
    status: outcome::ErrorStatus::new(410),
    title: "The order was cancelled",
    actor: outcome::Actor::Caller,
    retry: outcome::Retry::Never,
    advice: "Forget the id. After a DELETE this is the confirmation that it worked.",
    user_message: "This order was cancelled.",
    runbook: "A caller's fault, or a repeated DELETE: nothing to do.",
};

/// The supplier does not quote for this.
pub static QUOTE_REJECTED: ProblemType = ProblemType {
    code: "quote-rejected",
    status: outcome::ErrorStatus::new(422),
    title: "There is no price for this",
    actor: outcome::Actor::Caller,
    retry: outcome::Retry::Never,
    advice: "Ask for items that are sold; a currency or an item was refused by the supplier.",
    user_message: "We cannot offer a price for this.",
    runbook: "A caller's fault. Many at once: the supplier changed its assortment.",
};

/// The supplier refuses to send a notification.
pub static NOTIFICATION_REJECTED: ProblemType = ProblemType {
    code: "notification-rejected",
    status: outcome::ErrorStatus::new(422),
    title: "The confirmation could not be sent",
    actor: outcome::Actor::Caller,
    retry: outcome::Retry::Never,
    advice: "Check the customer's e-mail address.",
    user_message: "We could not send a confirmation to this address.",
    runbook: "The supplier refused what `send_confirmation` asked for; `api jobs show` has its status.",
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

/// All problem types that can come out of this service.
pub static CATALOGUE: Catalogue = Catalogue::new(&[common::ALL, ::jobs::problems::ALL, OWN]);

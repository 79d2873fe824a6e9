//! The problem types of this service, besides the common ones.

use outcome::{Catalogue, common};

outcome::problem_types! {
    // sample: begin
    /// There is no such order for this subject.
    ORDER_NOT_FOUND: 404 "order-not-found" {
        title: "There is no such order", actor: Caller, retry: Never,
        advice: "Check the id. An order of another subject does not exist for you either.",
        user_message: "This order does not exist.",
        runbook: "A caller's fault. Many from one subject can be somebody who tries ids.",
    }
    /// The order existed and was cancelled.
    ORDER_GONE: 410 "order-gone" {
        title: "The order was cancelled", actor: Caller, retry: Never,
        advice: "Forget the id. After a DELETE this is the confirmation that it worked.",
        user_message: "This order was cancelled.",
        runbook: "A caller's fault, or a repeated DELETE: nothing to do.",
    }
    /// The supplier does not quote for this.
    QUOTE_REJECTED: 422 "quote-rejected" {
        title: "There is no price for this", actor: Caller, retry: Never,
        advice: "Ask for items that are sold; a currency or an item was refused by the supplier.",
        user_message: "We cannot offer a price for this.",
        runbook: "A caller's fault. Many at once: the supplier changed its assortment.",
    }
    /// The supplier refuses to send a notification.
    NOTIFICATION_REJECTED: 422 "notification-rejected" {
        title: "The confirmation could not be sent", actor: Caller, retry: Never,
        advice: "Check the customer's e-mail address.",
        user_message: "We could not send a confirmation to this address.",
        runbook: "The supplier refused what `send_confirmation` asked for; `api jobs show` has its status.",
    }
    // sample: end
}

/// All problem types that can come out of this service.
pub static CATALOGUE: Catalogue = Catalogue::new(&[common::ALL, ::jobs::problems::ALL, ALL]);

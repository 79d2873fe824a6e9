//! The state of a quota.

use std::time::Duration;

/// The state of a caller's quota, sent in the headers `RateLimit` and `RateLimit-Policy`
/// (draft-ietf-httpapi-ratelimit-headers).
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Requests allowed at once.
    pub burst: u32,
    /// Time in which the whole burst is earned back.
    pub window: Duration,
    /// Requests left right now.
    pub remaining: u32,
    /// Time until all are back.
    pub reset: Duration,
    /// Time to wait where the request exceeds the quota.
    pub wait: Option<Duration>,
}

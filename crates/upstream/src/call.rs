//! One call of another service.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, Url};
use serde::Serialize;
use serde_json::Value;

/// One call, however many attempts it takes.
#[derive(Clone, Debug)]
pub struct Call {
    pub(crate) method: Method,
    segments: Vec<String>,
    query: Option<String>,
    pub(crate) body: Option<Value>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) refusals: &'static [u16],
    pub(crate) retryable: bool,
}

impl Call {
    /// A call of the path with these segments, relative to the address of the service. Each segment is encoded, so that
    /// a value from a client cannot leave its place: `["vouchers", code]` is always a path below `/vouchers/`.
    ///
    /// It is sent once if its method is `POST` or `PATCH`, unless [`safe_to_repeat`](Self::safe_to_repeat) or an
    /// idempotency key allows retries. The other methods have the same effect however often they are sent (RFC 9110,
    /// section 9.2.2).
    pub fn new<S: Into<String>>(method: Method, segments: impl IntoIterator<Item = S>) -> Self {
        let retryable = method != Method::POST && method != Method::PATCH;
        Self {
            method,
            segments: segments.into_iter().map(Into::into).collect(),
            query: None,
            body: None,
            idempotency_key: None,
            refusals: &[],
            retryable,
        }
    }

    /// A `GET`.
    pub fn get<S: Into<String>>(segments: impl IntoIterator<Item = S>) -> Self {
        Self::new(Method::GET, segments)
    }

    /// A `POST` with a JSON body.
    ///
    /// # Panics
    /// When the body does not serialize.
    pub fn post<S: Into<String>>(segments: impl IntoIterator<Item = S>, body: &impl Serialize) -> Self {
        Self::new(Method::POST, segments).json(body)
    }

    /// Sets the JSON body.
    ///
    /// # Panics
    /// When the body does not serialize.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_value(body).expect("request bodies serialize"));
        self
    }

    /// Sets the query from the fields of `parameters`.
    ///
    /// # Panics
    /// When a field is not a plain value.
    pub fn query(mut self, parameters: &impl Serialize) -> Self {
        self.query = Some(serde_urlencoded::to_string(parameters).expect("parameters are plain values"));
        self
    }

    /// Declares the statuses with which the upstream service refuses what our client asked for, such as 404 or 422. Any
    /// other 4xx is not the client's error: [`UpstreamError::Rejected`](crate::UpstreamError::Rejected).
    pub fn refusals(mut self, statuses: &'static [u16]) -> Self {
        self.refusals = statuses;
        self
    }

    /// Allows retries, because the call changes nothing in the upstream service.
    pub fn safe_to_repeat(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// Sends an idempotency key and allows retries, because all calls with the same key have one effect.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self.retryable = true;
        self
    }

    /// Forbids retries.
    pub fn once(mut self) -> Self {
        self.retryable = false;
        self
    }

    /// The address of the call at the service `base`.
    pub(crate) fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        let mut path = base.path().trim_end_matches('/').to_owned();
        for segment in &self.segments {
            path.push('/');
            path.push_str(&encoded(segment));
        }
        url.set_path(&path);
        url.set_query(self.query.as_deref());
        url
    }
}

/// Every character but the unreserved ones (RFC 3986, section 2.3).
const RESERVED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Percent-encodes a segment. A segment of dots is encoded twice, because the URL standard also removes encoded ones.
fn encoded(segment: &str) -> String {
    if segment == "." || segment == ".." {
        return segment.replace('.', "%252E");
    }
    utf8_percent_encode(segment, &RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(base: &str, call: &Call) -> String {
        call.url(&base.parse().expect("a URL")).to_string()
    }

    #[test]
    fn a_value_cannot_leave_its_segment() {
        let base = "https://partner.example/base/";
        for (code, expected) in [
            ("SPRING", "SPRING"),
            ("../../admin/purge?all=1", "..%2F..%2Fadmin%2Fpurge%3Fall%3D1"),
            ("a/b#c", "a%2Fb%23c"),
            ("..", "%252E%252E"),
            (".", "%252E"),
            ("%2e%2e", "%252e%252e"),
            (".\t.", ".%09."),
            ("\n..", "%0A.."),
            ("\u{e9}t\u{e9}", "%C3%A9t%C3%A9"),
            ("", ""),
        ] {
            let call = Call::get(["vouchers", code, "redemption"]);
            let expected = format!("https://partner.example/base/vouchers/{expected}/redemption");
            assert_eq!(url(base, &call), expected, "{code}");
        }
    }

    #[test]
    fn the_query_is_encoded() {
        let call = Call::get(["search"]).query(&[("text", "a&b=c"), ("page", "2")]);
        assert_eq!(
            url("http://one.example", &call),
            "http://one.example/search?text=a%26b%3Dc&page=2"
        );
        assert_eq!(
            url("http://one.example", &Call::get::<&str>([])),
            "http://one.example/"
        );
    }

    #[test]
    fn only_calls_with_the_same_effect_each_time_are_repeated() {
        for (method, repeated) in [
            (Method::GET, true),
            (Method::PUT, true),
            (Method::DELETE, true),
            (Method::POST, false),
            (Method::PATCH, false),
        ] {
            assert_eq!(Call::new(method, ["a"]).retryable, repeated);
        }
        assert!(Call::post(["a"], &1).idempotency_key("k").retryable);
        assert!(!Call::get(["a"]).once().retryable);
    }

    proptest! {
        #[test]
        fn any_value_stays_between_its_neighbours(value in "[.\\\\/%?#\t\n2eE]{0,6}|\\PC{0,20}") {
            let call = Call::get(["before", value.as_str(), "after"]);
            let url = call.url(&"http://one.example/base".parse().expect("a URL"));
            let segments: Vec<_> = url.path_segments().expect("a path").collect();
            prop_assert_eq!(segments.len(), 4, "{}", url);
            prop_assert_eq!((segments[0], segments[1], segments[3]), ("base", "before", "after"));
            prop_assert!(url.query().is_none() && url.fragment().is_none());
        }
    }
}

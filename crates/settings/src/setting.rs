//! The types of values: how they are read from text, written as text, and described.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

/// A type that a configuration value can have. Derive it for an enum without fields with [`Choice`](crate::Choice):
/// each variant is written as its name in lower case, or as `#[choice("…")]` says.
pub trait Setting: Sized {
    /// Whether messages must not repeat the value.
    const SECRET: bool = false;

    /// Reads the value.
    ///
    /// # Errors
    /// What is expected.
    fn parse(text: &str) -> Result<Self, String>;

    /// The value as text that [`parse`](Self::parse) reads.
    fn text(&self) -> String;

    /// The JSON schema of the type, for editors.
    fn schema() -> Schema {
        Schema(json!({ "type": "string" }))
    }
}

/// The JSON schema of one value.
#[derive(Clone, Debug)]
pub struct Schema(Value);

impl Schema {
    /// The schema of one of these strings.
    pub fn words(words: &[&str]) -> Self {
        Self(json!({ "enum": words }))
    }

    fn of(kind: &str) -> Self {
        Self(json!({ "type": kind }))
    }

    /// Adds a bound. A schema can express bounds of numbers only; others are ignored.
    pub(crate) fn bounded(mut self, keyword: &str, bound: &str) -> Self {
        let is_number = self.0["type"] == "integer" || self.0["type"] == "number";
        if is_number && let Ok(bound) = bound.parse::<f64>() {
            #[expect(clippy::cast_possible_truncation, reason = "a whole number")]
            let number = if bound.fract() == 0.0 {
                json!(bound as i64)
            } else {
                json!(bound)
            };
            self.0[keyword] = number;
        }
        self
    }

    pub(crate) fn into_value(self) -> Value {
        self.0
    }
}

macro_rules! from_str_setting {
    ($($type:ty: $schema:literal, $expected:literal;)+) => { $(
        impl Setting for $type {
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| $expected.to_owned())
            }

            fn text(&self) -> String {
                self.to_string()
            }

            fn schema() -> Schema {
                Schema::of($schema)
            }
        }
    )+ };
}

from_str_setting! {
    u16: "integer", "expected a whole number from 0 to 65535";
    u32: "integer", "expected a whole number";
    usize: "integer", "expected a whole number";
    f32: "number", "expected a number";
    bool: "boolean", "expected true or false";
    IpAddr: "string", "expected an IP address such as 127.0.0.1";
    String: "string", "expected text";
}

impl Setting for SecretString {
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.into())
    }

    fn text(&self) -> String {
        self.expose_secret().to_owned()
    }
}

impl Setting for Url {
    /// A mistyped address can contain a password.
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        let url = text.parse::<Self>().ok();
        let url = url.filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        let url = url.filter(|url| url.query().is_none() && url.fragment().is_none());
        let url = url.filter(|url| url.username().is_empty() && url.password().is_none());
        url.ok_or_else(|| {
            "expected a URL such as https://partner.example, without user, password, query or fragment"
                .to_owned()
        })
    }

    fn text(&self) -> String {
        self.to_string()
    }

    fn schema() -> Schema {
        Schema(json!({ "type": "string", "format": "uri" }))
    }
}

const UNITS: [(&str, u128); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl Setting for Duration {
    fn parse(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map_err(|_| "expected a duration such as 250ms, 3s, 5m or 24h".to_owned())
    }

    /// The duration in the largest unit of which it is a multiple.
    fn text(&self) -> String {
        let nanoseconds = self.as_nanos();
        let whole =
            |(_, length): &(&str, u128)| nanoseconds >= *length && nanoseconds.is_multiple_of(*length);
        match UNITS.into_iter().find(whole) {
            Some((unit, length)) => format!("{}{unit}", nanoseconds / length),
            None => "0s".to_owned(),
        }
    }
}

impl Setting for IpNet {
    fn parse(text: &str) -> Result<Self, String> {
        let address = text.parse::<IpAddr>().map(Self::from);
        address
            .or_else(|_| text.parse())
            .map_err(|_| "expected addresses or networks such as 10.0.0.0/8".to_owned())
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl<T: Setting> Setting for Vec<T> {
    const SECRET: bool = T::SECRET;

    fn parse(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(T::parse)
            .collect()
    }

    fn text(&self) -> String {
        self.iter().map(T::text).collect::<Vec<_>>().join(",")
    }

    fn schema() -> Schema {
        Schema(json!({ "type": ["array", "string"], "items": T::schema().into_value() }))
    }
}

impl<T: Setting> Setting for Option<T> {
    const SECRET: bool = T::SECRET;

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Ok(None)
        } else {
            T::parse(text).map(Some)
        }
    }

    fn text(&self) -> String {
        self.as_ref().map(T::text).unwrap_or_default()
    }

    fn schema() -> Schema {
        T::schema()
    }
}

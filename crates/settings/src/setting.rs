//! How a value is read from text, written as text, and described.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

/// A type that a configuration value can have. For an enum of words derive it with [`Choice`](crate::Choice):
/// each variant is its name in lower case, or what `#[choice("…")]` says.
pub trait Setting: Sized {
    /// Whether messages must not repeat the value.
    const SECRET: bool = false;

    /// Reads the value.
    ///
    /// # Errors
    /// What would be right.
    fn parse(text: &str) -> Result<Self, String>;

    /// Writes the value as [`parse`](Self::parse) reads it.
    fn text(&self) -> String;

    /// What an editor needs to know.
    fn schema() -> Schema {
        Schema(json!({ "type": "string" }))
    }
}

/// A JSON schema of one value.
#[derive(Clone, Debug)]
pub struct Schema(Value);

impl Schema {
    /// One of these words.
    pub fn words(words: &[&str]) -> Self {
        Self(json!({ "enum": words }))
    }

    fn of(kind: &str) -> Self {
        Self(json!({ "type": kind }))
    }

    /// A bound; only numbers have one that a schema can state.
    pub(crate) fn bounded(mut self, keyword: &str, bound: &str) -> Self {
        let is_number = self.0["type"] == "integer" || self.0["type"] == "number";
        if is_number && let Ok(bound) = bound.parse::<f64>() {
            self.0[keyword] = if bound.fract() == 0.0 {
                json!(bound as i64)
            } else {
                json!(bound)
            };
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
    fn parse(text: &str) -> Result<Self, String> {
        let url = text.parse::<Self>().ok();
        let url = url.filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        let url = url.filter(|url| url.query().is_none() && url.fragment().is_none());
        url.ok_or_else(|| "expected an address such as https://partner.example, without ? and #".to_owned())
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

    /// In the largest unit that needs no other beside it.
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

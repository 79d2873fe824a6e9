//! How a value is read from text.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use reqwest::Url;
use secrecy::SecretString;

/// A type that a configuration value can have.
pub trait Setting: Sized {
    /// Whether the value must not be repeated in messages.
    const SECRET: bool = false;

    /// Reads the value; the error says what would be right.
    fn parse(text: &str) -> Result<Self, String>;
}

macro_rules! from_str_setting {
    ($($type:ty: $expected:literal),+ $(,)?) => { $(
        impl Setting for $type {
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| $expected.to_owned())
            }
        }
    )+ };
}

from_str_setting! {
    u16: "expected a whole number from 0 to 65535",
    u32: "expected a whole number",
    usize: "expected a whole number",
    f32: "expected a number",
    bool: "expected true or false",
    IpAddr: "expected an IP address such as 127.0.0.1",
}

impl Setting for String {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl Setting for SecretString {
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.into())
    }
}

impl Setting for Url {
    fn parse(text: &str) -> Result<Self, String> {
        let url = text.parse::<Self>().ok();
        let url = url.filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        let url = url.filter(|url| url.query().is_none() && url.fragment().is_none());
        url.ok_or_else(|| "expected an address such as https://supplier.example, without ? and #".to_owned())
    }
}

impl Setting for Duration {
    fn parse(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map_err(|_| "expected a duration such as 250ms, 3s, 5m or 24h".to_owned())
    }
}

impl Setting for IpNet {
    fn parse(text: &str) -> Result<Self, String> {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        address
            .or_else(|_| text.parse())
            .map_err(|_| "expected addresses or networks such as 10.0.0.0/8".to_owned())
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
}

/// Declares an enum whose variants are written in configuration as these words.
macro_rules! choice {
    ($(#[$doc:meta])* pub enum $name:ident { $( $(#[$variant_doc:meta])* $variant:ident = $word:literal, )+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $( $(#[$variant_doc])* $variant, )+ }

        impl $name {
            /// The word as it stands in the configuration.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }
        }

        impl Setting for $name {
            fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $( $word => Ok(Self::$variant), )+
                    _ => Err(format!("expected one of: {}", [$($word),+].join(", "))),
                }
            }
        }
    };
}
pub(super) use choice;

//! Parses JSON bodies.

use outcome::{
    Location,
    validation::{nul_errors, shape_error},
};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::BodyRefusal;

/// Whole numbers up to this are exact in JSON numbers (RFC 8259, section 6).
const MAX_EXACT: f64 = 9_007_199_254_740_991.0;

/// The value of a body that is JSON and has the right shape.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BodyRefusal> {
    let nul = nul_errors(bytes);
    if !nul.is_empty() {
        return Err(BodyRefusal::Invalid(nul));
    }
    let mut result = read(bytes);
    // In JSON, 2.0 is an integer (JSON Schema 2020-12, section 4.2.3); serde expects it to be written as 2.
    if result.is_err()
        && let Some(rewritten) = with_plain_integers(bytes)
    {
        result = read(&rewritten);
    }
    result.map_err(|error| {
        // serde stops at the first error: the rest of the body may still not be JSON. Numbers of any size are JSON.
        let is_json = |text| serde_json::from_str::<IgnoredAny>(text).is_ok();
        if std::str::from_utf8(bytes).is_ok_and(is_json) {
            BodyRefusal::Invalid(vec![shape_error(&error, Location::Pointer)])
        } else {
            BodyRefusal::Malformed
        }
    })
}

type ShapeError = serde_path_to_error::Error<serde_json::Error>;

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ShapeError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut track = serde_path_to_error::Track::new();
    let value = T::deserialize(serde_path_to_error::Deserializer::new(&mut json, &mut track));
    let value = value.and_then(|value| json.end().map(|()| value));
    value.map_err(|error| ShapeError::new(track.path(), error))
}

/// The text with every whole number written without fraction and exponent; `None` if there is nothing to rewrite.
fn with_plain_integers(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut rewritten = Vec::with_capacity(bytes.len());
    let (mut rest, mut in_string, mut changed) = (bytes, false, false);
    while let Some((&byte, after)) = rest.split_first() {
        let length = match byte {
            b'\\' if in_string => 2.min(rest.len()),
            b'"' => {
                in_string = !in_string;
                1
            }
            b'-' | b'0'..=b'9' if !in_string => {
                let number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
                let length = 1 + after.iter().take_while(|byte| number(byte)).count();
                if let Some(integer) = plain_integer(&rest[..length]) {
                    rewritten.extend_from_slice(integer.as_bytes());
                    changed = true;
                    rest = &rest[length..];
                    continue;
                }
                length
            }
            _ => 1,
        };
        rewritten.extend_from_slice(&rest[..length]);
        rest = &rest[length..];
    }
    changed.then_some(rewritten)
}

/// The digits of a whole number that is written with a fraction or an exponent.
fn plain_integer(number: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(number).ok()?;
    // Only what JSON allows: Rust also reads `1.` and `.5`.
    let value: f64 = serde_json::from_str(text).ok()?;
    let is_integer = text.contains(['.', 'e', 'E']) && value.fract() == 0.0 && value.abs() <= MAX_EXACT;
    is_integer.then(|| format!("{value:.0}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        quantity: u32,
        ratio: Option<f64>,
        text: Option<String>,
    }

    fn quantity(body: &str) -> Result<u32, BodyRefusal> {
        parse::<Line>(body.as_bytes()).map(|line| line.quantity)
    }

    #[test]
    fn whole_numbers_are_integers_however_they_are_written() {
        for body in [
            r#"{"quantity": 2}"#,
            r#"{"quantity": 2.0}"#,
            r#"{"quantity": 2.000, "ratio": 3.0}"#,
            r#"{"quantity": 20e-1, "ratio": 0.5}"#,
            r#"{"text": "1.0 \" 2.0", "quantity": 2e0}"#,
        ] {
            assert_eq!(quantity(body).expect("an integer"), 2, "{body}");
        }
        let line: Line = parse(br#"{"text": "1.0 \" 2.0", "quantity": 2.0}"#).expect("a line");
        assert_eq!(line.text.as_deref(), Some("1.0 \" 2.0"));
        for body in [
            r#"{"quantity": 2.5}"#,
            r#"{"quantity": -2.0}"#,
            r#"{"quantity": 1e400}"#,
            r#"{"quantity": 2.0, "quantity": 3.0}"#,
            r#"{"quantity": 2.0, "other": 1}"#,
        ] {
            assert!(matches!(quantity(body), Err(BodyRefusal::Invalid(_))), "{body}");
        }
        for body in [
            r#"{"quantity": 2.}"#,
            r#"{"quantity": 2.0"#,
            r#"{"quantity": 2.0} x"#,
            "2.0.0",
            "",
        ] {
            assert!(matches!(quantity(body), Err(BodyRefusal::Malformed)), "{body}");
        }
    }

    #[test]
    fn every_unstorable_string_is_reported_up_to_a_limit_and_keys_too() {
        let many = format!("[{}0]", r#""\u0000","#.repeat(7_000));
        let Err(BodyRefusal::Invalid(errors)) = parse::<Value>(many.as_bytes()) else {
            panic!("refused")
        };
        assert_eq!(errors.len(), 50);
        let keys: Vec<_> = (0..5_000).map(|n| format!(r#""\u0000{n}":1"#)).collect();
        let keys = format!("{{{}}}", keys.join(","));
        let many = parse::<Value>(keys.as_bytes());
        assert!(matches!(many, Err(BodyRefusal::Invalid(errors)) if errors.len() == 50));
        let key = br#"{"a": {"\u0000": 1}}"#;
        assert!(matches!(parse::<Value>(key), Err(BodyRefusal::Invalid(errors)) if errors.len() == 1));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_value_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse::<Value>(&bytes);
            let _ = parse::<Line>(&bytes);
        }

        #[test]
        fn any_value_that_was_written_is_read(quantity: u32, ratio: i32, text: String) {
            let line = Line { quantity, ratio: Some(f64::from(ratio)), text: Some(text.replace('\0', "")) };
            prop_assert_eq!(parse::<Line>(json!(line).to_string().as_bytes()).ok(), Some(line));
        }
    }
}

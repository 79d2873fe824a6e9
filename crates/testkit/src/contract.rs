//! What must hold for every contract and every catalogue.

use outcome::Catalogue;
use serde_json::Value;

/// Asserts that every error of a contract is in the catalogue under its status; returns how many there are.
///
/// # Panics
/// When one is not.
pub fn assert_contract(contract: &Value, catalogue: Catalogue) -> usize {
    let mut checked = 0;
    for (path, item) in contract["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            for (status, response) in operation["responses"].as_object().expect("responses") {
                let Some(content) = response["content"].get("application/problem+json") else {
                    continue;
                };
                let codes = &content["schema"]["allOf"][1]["properties"]["code"]["enum"];
                let codes: Vec<&str> = codes
                    .as_array()
                    .expect("an enum")
                    .iter()
                    .filter_map(Value::as_str)
                    .collect();
                let examples: Vec<&String> = content["examples"]
                    .as_object()
                    .expect("examples")
                    .keys()
                    .collect();
                assert_eq!(codes, examples, "{method} {path} {status}");
                for code in codes {
                    let row = catalogue.find(code).expect("in the catalogue");
                    assert_eq!(row.status.as_u16().to_string(), *status, "{code}");
                    checked += 1;
                }
            }
        }
    }
    checked
}

/// Asserts that codes are unique and that every row says something to everybody.
///
/// # Panics
/// When that is not so.
pub fn assert_catalogue(catalogue: Catalogue) {
    let mut codes: Vec<&str> = catalogue.iter().map(|row| row.code).collect();
    codes.sort_unstable();
    let all = codes.len();
    codes.dedup();
    assert_eq!(codes.len(), all);
    for row in catalogue.iter() {
        let words = [row.title, row.advice, row.user_message, row.runbook];
        assert!(words.iter().all(|words| words.len() > 10), "{}", row.code);
        assert!(
            row.code
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
            "{}",
            row.code
        );
    }
}

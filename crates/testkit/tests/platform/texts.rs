//! The public texts of the platform's problem types.

use std::fmt::Write;

use testkit::notes::CATALOGUE;

/// Titles and messages are contract: clients compare them, users read them. A change of a text belongs into the
/// changelog; `cargo insta review` or `INSTA_UPDATE=always cargo test` accepts it.
#[test]
fn titles_and_messages_change_only_on_purpose() {
    let mut texts = String::new();
    for row in CATALOGUE.iter() {
        // Writing to a String cannot fail.
        let _ = writeln!(
            texts,
            "{} {}\n  title    {}\n  advice   {}\n  message  {}",
            row.status.as_u16(),
            row.code,
            row.title,
            row.advice,
            row.user_message
        );
    }
    insta::assert_snapshot!(texts);
}

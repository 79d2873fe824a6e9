//! What the compiler refuses, and in which words: each example of `examples/must_not_compile` breaks one rule.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use serde_json::Value;

/// The examples, and what the compiler says of each.
const CASES: [(&str, &str); 13] = [
    (
        "bare_response",
        "to be a future that resolves to `Result<_, _>`, but it resolves to `HttpResponse`",
    ),
    (
        "database_error_in_a_handler",
        "`?` couldn't convert the error to `AnswerRefusal`",
    ),
    (
        "framework_body",
        "`actix_web::web::Json<String>` is not an argument of an operation",
    ),
    ("framework_error", "`actix_web::Error` is not a refusal"),
    (
        "framework_request",
        "`HttpRequest` is not an argument of an operation",
    ),
    (
        "framework_state",
        "`Data<String>` is not an argument of an operation",
    ),
    (
        "impl_responder",
        "to be a future that resolves to `Result<_, _>`, but it resolves to `impl Responder`",
    ),
    (
        "io_error_in_a_job",
        "`?` couldn't convert the error to `JobError`",
    ),
    (
        "operation_for_two",
        "an operation has one of `scope`, `authenticated` and `public`",
    ),
    (
        "operation_for_whom",
        "an operation needs `scope = TheScope`, `authenticated` (any valid token) or `public`",
    ),
    (
        "refusal_without_a_problem",
        "a refusal needs one attribute: `#[problem(ROW, \"what happened\")]`",
    ),
    (
        "response_as_success",
        "`HttpResponse` is not a success of an operation",
    ),
    ("success_as_problem", "a problem type needs a 4xx or 5xx status"),
];

/// The errors of each example. With the features of the whole workspace, whose dependencies `make lint` has built.
fn errors_of_each() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let check = [
        "check",
        "--workspace",
        "--examples",
        "--locked",
        "--keep-going",
        "--message-format=json",
    ];
    let output = Command::new(cargo)
        .args(check)
        .args(["--features", "testkit/must-not-compile"])
        .current_dir(root)
        .output()
        .expect("cargo runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut errors = BTreeMap::<String, String>::new();
    for line in text.lines() {
        let message: Value = serde_json::from_str(line).expect("cargo says JSON");
        if message["message"]["level"] == "error" {
            let target = message["target"]["name"].as_str().expect("a name").to_owned();
            let rendered = message["message"]["rendered"].as_str().expect("text");
            errors.entry(target).or_default().push_str(rendered);
        }
    }
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !errors.is_empty(),
        "the compiler refuses nothing, or did not come to it: {said}"
    );
    errors
}

#[test]
fn each_broken_rule_is_refused_in_its_own_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/must_not_compile");
    let examples = folder.read_dir().expect("the examples").map(|entry| {
        let path = entry.expect("a file").path();
        path.file_stem()
            .and_then(|stem| stem.to_str())
            .expect("a name")
            .to_owned()
    });
    let known: BTreeSet<String> = CASES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(examples.collect::<BTreeSet<_>>(), known);

    let errors = errors_of_each();
    assert_eq!(errors.keys().cloned().collect::<BTreeSet<_>>(), known);
    for (name, expected) in CASES {
        assert!(errors[name].contains(expected), "{name}: {}", errors[name]);
    }
}

//! Code that must not compile, and its error messages: each example in `examples/must_not_compile` breaks one rule.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use serde_json::Value;

/// The name of each example, and a part of its compiler error.
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
        "operation_with_two_accesses",
        "an operation has exactly one of `scope`, `authenticated` and `public`",
    ),
    (
        "operation_without_access",
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

/// The compiler errors of each example, by name. Checks the whole workspace to reuse the dependencies that `make lint`
/// has built with the same features.
fn errors_by_example() -> BTreeMap<String, String> {
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
        let message: Value = serde_json::from_str(line).expect("cargo prints JSON");
        if message["message"]["level"] == "error" {
            let target = message["target"]["name"].as_str().expect("a name").to_owned();
            let rendered = message["message"]["rendered"].as_str().expect("text");
            errors.entry(target).or_default().push_str(rendered);
        }
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        !errors.is_empty(),
        "the compiler reports no errors, or did not run: {stderr}"
    );
    errors
}

#[test]
fn each_broken_rule_has_its_own_compiler_error() {
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

    let errors = errors_by_example();
    assert_eq!(errors.keys().cloned().collect::<BTreeSet<_>>(), known);
    for (name, expected) in CASES {
        assert!(errors[name].contains(expected), "{name}: {}", errors[name]);
    }
}

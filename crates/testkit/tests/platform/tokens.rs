//! Which tokens are accepted. The keys in `keys/` are used only by these tests.

use std::time::{SystemTime, UNIX_EPOCH};

use auth::DEVELOPMENT_SECRET;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::notes::NOTES;

use crate::{TestApp, TestAppBuilder, assert_problem};

const ES256: &str = include_str!("keys/es256.pem");
const ES256_PUBLIC: &str = include_str!("keys/es256.pub.pem");
const RS256: &str = include_str!("keys/rs256.pem");
const RS256_PUBLIC: &str = include_str!("keys/rs256.pub.pem");

/// Valid claims with `changes` applied; `null` removes a claim.
pub(crate) fn claims(changes: Value) -> Value {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let mut claims = json!({
        "sub": "alice", "scope": "test:read", "exp": now + 600, "iss": "https://issuer.test", "aud": "orders"
    });
    let object = claims.as_object_mut().expect("an object");
    object.extend(changes.as_object().expect("an object").clone());
    object.retain(|_, value| !value.is_null());
    claims
}

fn hs256(secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::new(Algorithm::HS256), claims, &key).expect("a token")
}

fn strict() -> TestAppBuilder {
    TestApp::build()
        .set("auth.issuer", "https://issuer.test")
        .set("auth.audience", "orders")
}

async fn response_to(app: &TestApp, authorization: &str) -> reqwest::Response {
    let request = app
        .anonymous(Method::GET, NOTES)
        .header("authorization", authorization);
    request.send().await.expect("a response")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_token_that_is_valid_in_every_respect_is_accepted() {
    let app = strict().start().await;
    let valid = hs256(DEVELOPMENT_SECRET, &claims(json!({})));
    assert_eq!(
        response_to(&app, &format!("Bearer {valid}")).await.status(),
        StatusCode::OK
    );
    assert_eq!(
        response_to(&app, &format!("bearer  {valid}")).await.status(),
        StatusCode::OK,
        "the scheme is case-insensitive"
    );

    let unsigned = format!(
        "{}.{}.",
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0",
        valid.split('.').nth(1).expect("claims")
    );
    let hs512 = encode(
        &Header::new(Algorithm::HS512),
        &claims(json!({})),
        &EncodingKey::from_secret(DEVELOPMENT_SECRET.as_bytes()),
    );
    let refused = [
        (
            "another secret",
            hs256("another secret of at least 32 bytes!", &claims(json!({}))),
        ),
        ("no signature", unsigned),
        ("another algorithm", hs512.expect("a token")),
        ("expired", hs256(DEVELOPMENT_SECRET, &claims(json!({ "exp": 1 })))),
        (
            "not valid yet",
            hs256(DEVELOPMENT_SECRET, &claims(json!({ "nbf": 4_000_000_000_u64 }))),
        ),
        (
            "never expires",
            hs256(DEVELOPMENT_SECRET, &claims(json!({ "exp": null }))),
        ),
        (
            "no subject",
            hs256(DEVELOPMENT_SECRET, &claims(json!({ "sub": null }))),
        ),
        (
            "an empty subject",
            hs256(DEVELOPMENT_SECRET, &claims(json!({ "sub": "" }))),
        ),
        (
            "another issuer",
            hs256(
                DEVELOPMENT_SECRET,
                &claims(json!({ "iss": "https://elsewhere.test" })),
            ),
        ),
        (
            "no issuer",
            hs256(DEVELOPMENT_SECRET, &claims(json!({ "iss": null }))),
        ),
        (
            "another audience",
            hs256(DEVELOPMENT_SECRET, &claims(json!({ "aud": "invoices" }))),
        ),
        (
            "no audience",
            hs256(DEVELOPMENT_SECRET, &claims(json!({ "aud": null }))),
        ),
        ("not a token", "x.y.z".to_owned()),
        (
            "a subject that Postgres cannot store",
            hs256(DEVELOPMENT_SECRET, &claims(json!({ "sub": "al\u{0}ice" }))),
        ),
    ];
    for (why, token) in refused {
        let response = response_to(&app, &format!("Bearer {token}")).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{why}");
        let challenge = response.headers()["www-authenticate"].to_str().expect("ASCII");
        assert!(challenge.contains("invalid_token"), "{why}: {challenge}");
        assert_problem(response, NOTES, Method::GET, "unauthenticated").await;
    }
    let basic = response_to(&app, &format!("Basic {valid}")).await;
    assert_eq!(basic.status(), StatusCode::UNAUTHORIZED);
    // `invalid_token` is a word of bearer tokens, and none was sent.
    assert_eq!(basic.headers()["www-authenticate"], "Bearer realm=\"api\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_challenge_says_why_a_token_is_not_valid() {
    let app = strict().start().await;
    for (changes, expected) in [
        (json!({ "exp": 1 }), "the token has expired"),
        (json!({ "nbf": 4_000_000_000_u64 }), "the token is not valid yet"),
        (
            json!({ "iss": "https://elsewhere.test" }),
            "the token is from another issuer",
        ),
        (json!({ "aud": "invoices" }), "the token is for another audience"),
        (json!({ "exp": null }), "the claim exp is missing"),
        (
            json!({ "sub": "x".repeat(256) }),
            "the subject must have 1 to 255 bytes",
        ),
    ] {
        let token = hs256(DEVELOPMENT_SECRET, &claims(changes));
        let response = response_to(&app, &format!("Bearer {token}")).await;
        let challenge = response.headers()["www-authenticate"].to_str().expect("ASCII");
        let description = format!("error_description=\"{expected}\"");
        assert!(challenge.ends_with(&description), "{challenge}");
        let problem = assert_problem(response, NOTES, Method::GET, "unauthenticated").await;
        assert_eq!(problem["detail"], expected);
    }
    let forged = hs256("another secret of at least 32 bytes!", &claims(json!({})));
    let response = response_to(&app, &format!("Bearer {forged}")).await;
    let challenge = response.headers()["www-authenticate"].to_str().expect("ASCII");
    assert!(challenge.contains("the signature is invalid"), "{challenge}");
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_are_read_in_the_forms_that_providers_use() {
    let app = TestApp::start().await;
    let in_ten_minutes = claims(json!({}))["exp"].as_u64().expect("seconds") as f64;
    for changes in [
        json!({ "scope": null, "scp": "test:read" }),
        json!({ "scope": null, "scp": ["other", "test:read"] }),
        json!({ "scope": ["test:read"] }),
        json!({ "scope": "openid", "permissions": ["test:read"] }),
        json!({ "exp": in_ten_minutes + 0.5 }),
    ] {
        let token = hs256(DEVELOPMENT_SECRET, &claims(changes.clone()));
        let response = response_to(&app, &format!("Bearer {token}")).await;
        assert_eq!(response.status(), StatusCode::OK, "{changes}");
    }
    // Nothing that the sender declares as critical is understood (RFC 7515, section 4.1.11).
    let mut header = Header::new(Algorithm::HS256);
    header.crit = Some(vec!["exp".to_owned()]);
    let key = EncodingKey::from_secret(DEVELOPMENT_SECRET.as_bytes());
    let critical = encode(&header, &claims(json!({})), &key).expect("a token");
    let response = response_to(&app, &format!("Bearer {critical}")).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_is_matched_as_a_whole_word() {
    let app = TestApp::start().await;
    for (scope, status) in [
        ("test:read", 200),
        ("other test:read", 200),
        ("test:readers", 403),
        ("", 403),
    ] {
        let token = app.token("alice", scope);
        assert_eq!(
            response_to(&app, &format!("Bearer {token}")).await.status(),
            status,
            "{scope}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn public_keys_verify_what_private_keys_signed() {
    let es256 = EncodingKey::from_ec_pem(ES256.as_bytes()).expect("a key");
    let rs256 = EncodingKey::from_rsa_pem(RS256.as_bytes()).expect("a key");
    // A Kubernetes Secret made from an env file has one line per variable, so the key has no line breaks.
    let on_one_line = ES256_PUBLIC.replace('\n', "");
    let cases = [
        ("ES256", Algorithm::ES256, es256.clone(), ES256_PUBLIC),
        ("ES256", Algorithm::ES256, es256, on_one_line.as_str()),
        ("RS256", Algorithm::RS256, rs256, RS256_PUBLIC),
    ];
    for (name, algorithm, private, public) in cases {
        let app = TestApp::build()
            .set("auth.algorithm", name)
            .set("auth.public_key", public)
            .start()
            .await;
        let token = encode(&Header::new(algorithm), &claims(json!({})), &private).expect("a token");
        assert_eq!(
            response_to(&app, &format!("Bearer {token}")).await.status(),
            StatusCode::OK,
            "{name}"
        );
        // The public key is known to everyone: a token signed with it as an HS256 secret must be rejected.
        let forged = hs256(public, &claims(json!({})));
        assert_eq!(
            response_to(&app, &format!("Bearer {forged}")).await.status(),
            StatusCode::UNAUTHORIZED,
            "{name}"
        );
    }
}

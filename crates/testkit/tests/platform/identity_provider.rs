//! Keys that an identity provider publishes: a rotation fails no valid token, and no failure of the provider does.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use reqwest::Method;
use serde_json::json;
use testkit::notes::NOTES;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{TestApp, TestAppBuilder, assert_problem, tokens::claims};

const KEYS: [(&str, &str); 2] = [
    ("one", include_str!("keys/es256.pem")),
    ("next", include_str!("keys/es256-next.pem")),
];

/// What the provider does with a request.
#[derive(Clone, Debug)]
enum Behavior {
    Publish(String),
    Respond(&'static str),
    Hang,
}

/// An identity provider whose behavior a test changes.
struct Provider {
    url: String,
    behavior: Arc<Mutex<Behavior>>,
    requests: Arc<Mutex<usize>>,
}

impl Provider {
    async fn start(behavior: Behavior) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/keys", listener.local_addr().expect("bound"));
        let provider = Self {
            url,
            behavior: Arc::new(Mutex::new(behavior)),
            requests: Arc::default(),
        };
        let (behavior, requests) = (provider.behavior.clone(), provider.requests.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (behavior, requests) = (behavior.clone(), requests.clone());
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 4096]).await;
                    *requests.lock().expect("no panic") += 1;
                    let behavior = behavior.lock().expect("no panic").clone();
                    let response = match behavior {
                        Behavior::Publish(document) => format!(
                            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{document}",
                            document.len()
                        ),
                        Behavior::Respond(response) => response.to_owned(),
                        Behavior::Hang => std::future::pending().await,
                    };
                    let _ = stream.write_all(response.as_bytes()).await;
                });
            }
        });
        provider
    }

    fn set(&self, behavior: Behavior) {
        *self.behavior.lock().expect("no panic") = behavior;
    }

    fn requests(&self) -> usize {
        *self.requests.lock().expect("no panic")
    }

    fn app(&self) -> TestAppBuilder {
        TestApp::build()
            .set("auth.algorithm", "ES256")
            .set("auth.jwks_url", &self.url)
    }
}

fn private(kid: &str) -> EncodingKey {
    let (_, pem) = KEYS.iter().find(|(own, _)| *own == kid).expect("a key");
    EncodingKey::from_ec_pem(pem.as_bytes()).expect("a key")
}

fn key_set(kids: &[&str]) -> Behavior {
    let key = |kid: &&str| {
        let mut jwk = Jwk::from_encoding_key(&private(kid), Algorithm::ES256).expect("a key");
        jwk.common.key_id = Some((*kid).to_owned());
        jwk
    };
    let keys: Vec<Jwk> = kids.iter().map(key).collect();
    Behavior::Publish(json!({ "keys": keys }).to_string())
}

/// A token that `kid` signed, with the header `named`.
fn signed(kid: &str, named: Option<&str>) -> String {
    let mut header = Header::new(Algorithm::ES256);
    header.kid = named.map(str::to_owned);
    encode(&header, &claims(json!({})), &private(kid)).expect("a token")
}

async fn send(app: &TestApp, token: &str) -> reqwest::Response {
    let request = app.anonymous(Method::GET, NOTES).bearer_auth(token);
    request.send().await.expect("a response")
}

async fn status(app: &TestApp, token: &str) -> u16 {
    send(app, token).await.status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_under_load_fails_no_valid_token() {
    let provider = Provider::start(key_set(&["one"])).await;
    let app = provider.app().set("rate_limit.burst", "100000").start().await;
    let (old, new) = (signed("one", Some("one")), signed("next", Some("next")));
    assert_eq!(status(&app, &old).await, 200);
    assert_eq!(
        status(&app, &signed("one", None)).await,
        200,
        "without a key id, all keys are tried"
    );

    // Both keys are valid during the rotation, and clients change over at any moment.
    provider.set(key_set(&["one", "next"]));
    let tokens = (0..50).map(|n| if n % 2 == 0 { &old } else { &new });
    let during = join_all(tokens.map(|token| status(&app, token))).await;
    assert_eq!(during, vec![200; 50]);

    // A token of the old key stays valid until the keys are loaded again without it.
    provider.set(key_set(&["next"]));
    assert_eq!(status(&app, &new).await, 200);
    let unknown = signed("one", Some("unknown"));
    let refused = send(&app, &unknown).await;
    let challenge = refused.headers()["www-authenticate"]
        .to_str()
        .expect("ASCII")
        .to_owned();
    assert!(
        challenge.contains("the key of the token is unknown"),
        "{challenge}"
    );
    assert_problem(refused, NOTES, Method::GET, "unauthenticated").await;
    assert_eq!(
        status(&app, &old).await,
        401,
        "the provider has withdrawn its key"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_good_keys_are_kept_while_the_provider_fails() {
    let provider = Provider::start(key_set(&["one"])).await;
    let app = provider
        .app()
        .set("auth.jwks_refresh_interval", "1s")
        .set("http.deadline", "8s")
        .start()
        .await;
    let valid = signed("one", Some("one"));
    assert_eq!(status(&app, &valid).await, 200);
    for behavior in [
        Behavior::Respond("HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
        Behavior::Respond(
            "HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        ),
        Behavior::Respond("nonsense\r\n\r\n"),
        Behavior::Publish("<html>".to_owned()),
        Behavior::Publish(json!({ "keys": [] }).to_string()),
        Behavior::Publish(format!("[{}]", "0,".repeat(200_000))),
        Behavior::Hang,
    ] {
        provider.set(behavior.clone());
        let before = provider.requests();
        let started = Instant::now();
        while provider.requests() == before {
            assert!(
                started.elapsed() < Duration::from_secs(10),
                "{behavior:?}: not asked"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(status(&app, &valid).await, 200, "{behavior:?}");
    }
    provider.set(Behavior::Publish("<html>".to_owned()));
    // The key may have been published since: whether the token is valid cannot be said.
    let new = send(&app, &signed("next", Some("next"))).await;
    assert_problem(new, NOTES, Method::GET, "dependency-unavailable").await;
    let failed =
        "dependency_request_duration_seconds_count{dependency=\"identity_provider\",outcome=\"error\"}";
    assert!(app.metric(failed).await >= 6.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn invented_key_ids_do_not_flood_the_provider() {
    let provider = Provider::start(key_set(&["one"])).await;
    let app = provider.app().start().await;
    let started = Instant::now();
    let invented: Vec<String> = (0..40)
        .map(|n| signed("one", Some(&format!("invented-{n}"))))
        .collect();
    let refused = join_all(invented.iter().map(|token| status(&app, token))).await;
    assert_eq!(refused, vec![401; 40]);
    let allowed = 2 + started.elapsed().as_secs();
    assert!(
        provider.requests() as u64 <= allowed,
        "{} loads",
        provider.requests()
    );
    assert_eq!(status(&app, &signed("one", Some("one"))).await, 200);
}

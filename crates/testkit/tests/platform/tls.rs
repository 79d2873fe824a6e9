//! Encrypted connections to Postgres and Redis.

use std::{io::Write, net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use reqwest::Url;
use tempfile::NamedTempFile;
use testkit::{ProcessEnvironment, address_of, notes::SERVICE};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

/// An authority that signs certificates, with its own in a file.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: NamedTempFile,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let mut file = NamedTempFile::new().expect("a file");
        file.write_all(certificate.pem().as_bytes()).expect("space");
        Self {
            issuer: Issuer::new(params, key),
            file,
        }
    }

    fn path(&self) -> &str {
        self.file.path().to_str().expect("UTF-8")
    }

    /// The server's side of TLS, with a certificate for `name`.
    fn acceptor(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.into()], key);
        TlsAcceptor::from(Arc::new(config.expect("a key for its certificate")))
    }
}

/// When a client of the protocol begins TLS.
#[derive(Clone, Copy)]
enum Begins {
    Immediately,
    /// Postgres: once the server has agreed.
    OnRequest,
}

/// Starts a server that ends TLS in front of the one in `url`; returns the URL that leads through it.
async fn before(url: &str, acceptor: TlsAcceptor, begins: Begins) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let server = address_of(url);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(forward(client, server, acceptor.clone(), begins));
        }
    });
    let mut url = Url::parse(url).expect("a URL");
    url.set_port(Some(port)).expect("a URL with a host");
    url.into()
}

async fn forward(
    mut client: TcpStream,
    server: SocketAddr,
    acceptor: TlsAcceptor,
    begins: Begins,
) -> std::io::Result<()> {
    if let Begins::OnRequest = begins {
        // SSLRequest: its length, and a code.
        client.read_exact(&mut [0; 8]).await?;
        client.write_all(b"S").await?;
    }
    let mut client = acceptor.accept(client).await?;
    copy_bidirectional(&mut client, &mut TcpStream::connect(server).await?).await?;
    Ok(())
}

async fn environment() -> ProcessEnvironment {
    let environment = ProcessEnvironment::new(env!("CARGO_BIN_EXE_test-service")).await;
    environment.database.migrate(SERVICE.definition().schema).await;
    environment
}

/// Runs `command`; returns whether it succeeded, and what it printed.
async fn run(environment: ProcessEnvironment, command: &'static str) -> (ProcessEnvironment, bool, String) {
    let (environment, output) = tokio::task::spawn_blocking(move || {
        let output = environment.run(&[command]);
        (environment, output)
    })
    .await
    .expect("no panic");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (environment, output.status.success(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_used_only_if_its_certificate_is_as_the_settings_require() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let environment = environment().await;
    let plain = environment.database.url.clone();
    let for_this_host = before(&plain, ours.acceptor("127.0.0.1"), Begins::OnRequest).await;
    let for_another = before(&plain, ours.acceptor("other.test"), Begins::OnRequest).await;
    let mut environment = environment;
    for (url, tls, authority, is_ok, expected) in [
        (
            &for_this_host,
            "verify",
            Some(&ours),
            true,
            "encrypted, with a verified certificate",
        ),
        (&for_this_host, "verify", Some(&theirs), false, "UnknownIssuer"),
        (&for_this_host, "verify", None, false, "UnknownIssuer"),
        (&for_another, "verify", Some(&ours), false, "not valid for name"),
        (
            &for_another,
            "require",
            None,
            true,
            "encrypted, but the certificate is not verified",
        ),
        (
            &plain,
            "verify",
            Some(&ours),
            false,
            "server does not support TLS",
        ),
        (&plain, "require", None, false, "server does not support TLS"),
        (&plain, "off", None, true, "not encrypted"),
    ] {
        environment = environment
            .set("database.url", url)
            .set("database.tls", tls)
            .set("database.root_certificate", authority.map_or("", Authority::path));
        for command in ["check", "migrate"] {
            let (ran, succeeded, printed) = run(environment, command).await;
            environment = ran;
            assert_eq!(
                succeeded, is_ok,
                "{command} with {tls}, expecting {expected}:\n{printed}"
            );
            let is_named = printed.contains(expected) || command == "migrate" && is_ok;
            assert!(
                is_named,
                "{command} with {tls} does not print {expected}:\n{printed}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_used_only_if_its_certificate_is_as_the_settings_require() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let plain = std::env::var("APP__REDIS__URL").expect("Redis is running; see `make test`");
    let for_this_host = before(&plain, ours.acceptor("127.0.0.1"), Begins::Immediately).await;
    let for_another = before(&plain, ours.acceptor("other.test"), Begins::Immediately).await;
    let mut environment = environment().await;
    for (url, tls, authority, expected) in [
        (
            &for_this_host,
            "verify",
            Some(&ours),
            "encrypted, with a verified certificate",
        ),
        (&for_this_host, "verify", Some(&theirs), "UnknownIssuer"),
        (&for_this_host, "verify", None, "UnknownIssuer"),
        (&for_another, "verify", Some(&ours), "not valid for name"),
        (
            &for_another,
            "require",
            None,
            "encrypted, but the certificate is not verified",
        ),
        (&plain, "verify", Some(&ours), "unavailable"),
        (&plain, "off", None, "not encrypted"),
    ] {
        environment = environment
            .set("redis.url", url)
            .set("redis.tls", tls)
            .set("redis.root_certificate", authority.map_or("", Authority::path));
        let (ran, _, printed) = run(environment, "check").await;
        environment = ran;
        let line = printed.lines().find(|line| line.contains("redis: "));
        let line = line.unwrap_or_else(|| panic!("no line about Redis:\n{printed}"));
        assert!(
            line.contains(expected),
            "{tls}: {line} does not contain {expected}"
        );
    }
}

//! The encryption of connections to a server that is not called with HTTP.

use settings::{Choice, Errors};

/// How connections are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Choice)]
pub enum Tls {
    /// Encrypted, and the certificate of the server is valid for its name and signed by a trusted authority.
    Verify,
    /// Encrypted, but the certificate is not checked: anyone on the way to the server can pose as it.
    Require,
    /// Not encrypted.
    Off,
}

impl Tls {
    /// What it means for a connection, for people who check a configuration.
    pub fn description(self) -> &'static str {
        match self {
            Self::Verify => "encrypted, with a verified certificate",
            Self::Require => "encrypted, but the certificate is not verified",
            Self::Off => "not encrypted",
        }
    }
}

/// The keys `tls` and `root_certificate` of a section.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = TlsSettings::check)]
pub struct TlsSettings {
    /// Encryption of the connections. `verify`: the certificate of the server must be valid for its host name and signed by
    /// a trusted authority. `require`: encrypted, but no certificate is checked, so that anyone on the way can pose as the
    /// server. `off`: not encrypted.
    #[setting(default = Tls::Verify, in_development = Tls::Off)]
    pub tls: Tls,
    /// PEM file with the certificates of the authorities that sign the server's certificate, if they are not public. Only for
    /// `verify`.
    pub root_certificate: Option<String>,
}

impl TlsSettings {
    fn check(&self, errors: &mut Errors) {
        let Some(file) = &self.root_certificate else {
            return;
        };
        let mut complain = |problem: String| errors.add("root_certificate", problem);
        if self.tls != Tls::Verify {
            complain(format!(
                "is not used while `tls` is `{}`; remove it, or set `tls` to `verify`",
                self.tls.as_str()
            ));
        }
        match std::fs::read_to_string(file) {
            Err(reason) => complain(format!("the file {file} cannot be read: {reason}")),
            Ok(text) if !text.contains("-----BEGIN CERTIFICATE-----") => {
                complain(format!("the file {file} has no certificate in PEM format"));
            }
            Ok(_) => {}
        }
    }
}

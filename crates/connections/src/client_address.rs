//! The address of a client behind proxies, for quotas of requests without a valid token.

use std::net::{IpAddr, SocketAddr};

use ipnet::{IpNet, Ipv6Net};
use settings::{Choice, Schema, Setting};

/// The proxies whose statements about clients are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// The networks of the proxies.
    pub fn networks(&self) -> &[IpNet] {
        &self.0
    }
}

impl Setting for TrustedProxies {
    fn parse(text: &str) -> Result<Self, String> {
        if text.trim() == "none" {
            return Ok(Self::default());
        }
        Vec::parse(text)
            .map(Self)
            .map_err(|expected| format!("{expected}, or `none`"))
    }

    fn text(&self) -> String {
        if self.0.is_empty() {
            "none".to_owned()
        } else {
            self.0.text()
        }
    }

    fn schema() -> Schema {
        Vec::<IpNet>::schema()
    }
}

/// The header in which trusted proxies name the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Choice)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[choice("x-forwarded-for")]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    #[choice("forwarded")]
    Forwarded,
}

/// Whether `peer` is a trusted proxy.
pub fn is_trusted(peer: IpAddr, trusted: &[IpNet]) -> bool {
    // A dual-stack listener reports IPv4 peers as IPv4-mapped IPv6 addresses.
    let peer = peer.to_canonical();
    trusted.iter().any(|network| network.contains(&peer))
}

/// The nearest address that is not a trusted proxy, walking the lines of the header from their end: everything before it
/// can be forged.
pub fn client_address<'h>(
    peer: IpAddr,
    lines: impl Iterator<Item = &'h [u8]>,
    trusted: &[IpNet],
    header: ForwardedHeader,
) -> IpAddr {
    let mut nearest = peer.to_canonical();
    let hop: fn(&str) -> Option<IpAddr> = match header {
        ForwardedHeader::XForwardedFor => address,
        ForwardedHeader::Forwarded => forwarded_for,
    };
    // A byte that is not ASCII spoils its own hop, not the line.
    let lines: Vec<_> = lines.map(String::from_utf8_lossy).collect();
    for text in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !is_trusted(nearest, trusted) {
            break;
        }
        let Some(address) = hop(text) else { break };
        nearest = address;
    }
    nearest
}

/// An address with or without a port; IPv6 addresses may be in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse().ok();
    let address = address.or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

/// The parameter `for` of one element of `Forwarded`; `None` if it is hidden or unknown.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut parameters = element
        .split(';')
        .filter_map(|parameter| parameter.split_once('='));
    let (_, node) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address(node.trim().trim_matches('"'))
}

/// The quota key of an address. IPv6 addresses count by their /64 network, because one client can use all of it.
pub fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => Ipv6Net::new_assert(address, 64).trunc().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(peer: &str, header: ForwardedHeader, lines: &[&[u8]]) -> String {
        let peer = peer.trim_matches(['[', ']']).parse().expect("an address");
        let trusted = ["10.0.0.0/8".parse().expect("a network")];
        client_address(peer, lines.iter().copied(), &trusted, header).to_string()
    }

    fn x_forwarded_for(peer: &str, lines: &[&str]) -> String {
        let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
        found(peer, ForwardedHeader::XForwardedFor, &lines)
    }

    #[test]
    fn forwarded_addresses_are_used_only_from_trusted_proxies() {
        let found = x_forwarded_for;
        assert_eq!(found("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(found("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            found("10.0.0.1", &["192.0.2.66, 198.51.100.1, 10.0.0.2"]),
            "198.51.100.1"
        );
        assert_eq!(found("10.0.0.1", &["192.0.2.66", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(found("10.0.0.1", &["nonsense"]), "10.0.0.1");
        let ipv4_mapped = found("[::ffff:10.0.0.1]", &["::ffff:198.51.100.1"]);
        assert_eq!(ipv4_mapped, "198.51.100.1");
    }

    #[test]
    fn hops_may_have_ports_and_a_hop_that_is_not_ascii_spoils_only_itself() {
        for hop in [
            "198.51.100.1:5678",
            "2001:db8::7",
            "[2001:db8::7]",
            "[2001:db8::7]:443",
        ] {
            let expected = if hop.starts_with("198") {
                "198.51.100.1"
            } else {
                "2001:db8::7"
            };
            assert_eq!(x_forwarded_for("10.0.0.1", &[hop]), expected, "{hop}");
        }
        let line = b"\xff, 198.51.100.1".as_slice();
        assert_eq!(
            found("10.0.0.1", ForwardedHeader::XForwardedFor, &[line]),
            "198.51.100.1"
        );
    }

    #[test]
    fn the_header_forwarded_is_read_if_it_is_configured() {
        let found = |line: &str| found("10.0.0.1", ForwardedHeader::Forwarded, &[line.as_bytes()]);
        assert_eq!(found("for=192.0.2.60;proto=http;by=203.0.113.43"), "192.0.2.60");
        assert_eq!(found("For=\"[2001:db8:cafe::17]:4711\""), "2001:db8:cafe::17");
        assert_eq!(
            found("for=192.0.2.1, for=198.51.100.17;by=10.0.0.9"),
            "198.51.100.17"
        );
        assert_eq!(found("for=_hidden"), "10.0.0.1");
        assert_eq!(found("for=unknown"), "10.0.0.1");
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_quota() {
        let key = |address: &str| network(address.parse().expect("an address"));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("203.0.113.1"), key("203.0.113.2"));
    }

    #[test]
    fn no_proxy_is_an_explicit_choice() {
        assert_eq!(TrustedProxies::parse("none"), Ok(TrustedProxies::default()));
        assert_eq!(TrustedProxies::default().text(), "none");
        let mistake = TrustedProxies::parse("any").expect_err("not a network");
        assert!(mistake.contains("`none`"), "{mistake}");
    }

    proptest! {
        #[test]
        fn any_header_gives_an_address(line in proptest::collection::vec((32_u8..).prop_filter("no control character", |byte| *byte != 127), 0..60)) {
            for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
                let address = found("10.0.0.1", header, &[&line]);
                prop_assert!(address.parse::<IpAddr>().is_ok());
            }
        }
    }
}

//! The quota key of requests without a valid token: the client's address.

use std::net::IpAddr;

use actix_web::dev::ServiceRequest;
use ipnet::{IpNet, Ipv6Net};

/// The nearest address that is not a trusted proxy, walking `X-Forwarded-For` from its end: everything before it can
/// be forged.
pub(crate) fn client_address(request: &ServiceRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    // A dual-stack listener reports IPv4 peers as IPv4-mapped IPv6 addresses.
    let mut nearest = request.peer_addr()?.ip().to_canonical();
    let forwarded: Vec<&str> = request
        .headers()
        .get_all("x-forwarded-for")
        .filter_map(|value| value.to_str().ok())
        .collect();
    for hop in forwarded.iter().rev().flat_map(|value| value.rsplit(',')) {
        if !is_trusted(&nearest) {
            break;
        }
        let Ok(address) = hop.trim().parse::<IpAddr>() else {
            break;
        };
        nearest = address.to_canonical();
    }
    Some(nearest)
}

/// The quota key of an address. IPv6 addresses count by their /64 network, because one client can use all of it.
pub(crate) fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => Ipv6Net::new_assert(address, 64).trunc().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn address(peer: &str, forwarded: &[&str]) -> String {
        let mut request =
            TestRequest::default().peer_addr(format!("{peer}:1234").parse().expect("an address"));
        for value in forwarded {
            request = request.append_header(("x-forwarded-for", *value));
        }
        let trusted = ["10.0.0.0/8".parse().expect("a network")];
        client_address(&request.to_srv_request(), &trusted)
            .expect("there is a peer")
            .to_string()
    }

    #[test]
    fn forwarded_addresses_are_used_only_from_trusted_proxies() {
        assert_eq!(address("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(address("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            address("10.0.0.1", &["192.0.2.66, 198.51.100.1, 10.0.0.2"]),
            "198.51.100.1"
        );
        assert_eq!(
            address("10.0.0.1", &["192.0.2.66", "198.51.100.1"]),
            "198.51.100.1"
        );
        assert_eq!(address("10.0.0.1", &["nonsense"]), "10.0.0.1");
        let ipv4_mapped = address("[::ffff:10.0.0.1]", &["::ffff:198.51.100.1"]);
        assert_eq!(ipv4_mapped, "198.51.100.1");
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_quota() {
        let key = |address: &str| network(address.parse().expect("an address"));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("203.0.113.1"), key("203.0.113.2"));
    }
}

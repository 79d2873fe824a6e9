//! The address that an anonymous caller is counted by.

use std::net::IpAddr;

use actix_web::dev::ServiceRequest;
use ipnet::{IpNet, Ipv6Net};

/// The nearest address that is not one of our proxies, walking `X-Forwarded-For` from its end:
/// everything before it was written by somebody we do not know.
pub(crate) fn client_address(request: &ServiceRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let is_ours = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    // A listener for both families sees IPv4 as part of IPv6.
    let mut nearest = request.peer_addr()?.ip().to_canonical();
    let forwarded: Vec<&str> = request
        .headers()
        .get_all("x-forwarded-for")
        .filter_map(|value| value.to_str().ok())
        .collect();
    for hop in forwarded.iter().rev().flat_map(|value| value.rsplit(',')) {
        if !is_ours(&nearest) {
            break;
        }
        let Ok(address) = hop.trim().parse::<IpAddr>() else {
            break;
        };
        nearest = address.to_canonical();
    }
    Some(nearest)
}

/// What an anonymous caller is counted by: an IPv6 network, since each has as many addresses as it likes.
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
    fn forwarded_addresses_are_believed_only_from_our_proxies() {
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
        let both_families = address("[::ffff:10.0.0.1]", &["::ffff:198.51.100.1"]);
        assert_eq!(both_families, "198.51.100.1");
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_caller() {
        let of = |address: &str| network(address.parse().expect("an address"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("203.0.113.1"), of("203.0.113.2"));
    }
}

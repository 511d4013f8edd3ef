//! Who really asked: what trusted proxies say about the original request.
//!
//! Anybody can send `X-Forwarded-For`. It is believed only from peers that the user named
//! (`--trusted-proxy CIDR`; by default there are none), and only as far back as the chain of
//! trusted proxies reaches: from the right, the first address that is not a trusted proxy is the
//! client. What is to the left of it the client may have written itself.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use ipnet::IpNet;

use crate::protocol::http1::Forwarded;
use crate::source::Address;

/// Most hops that are looked at, from the right. Real chains have two or three.
const MAX_HOPS: usize = 32;

/// Networks whose hosts are believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// One network: `10.0.0.0/8`, `fd00::/8`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr(IpNet);

/// Text that is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a network such as 10.0.0.0/8 or an address")]
pub struct NotCidr(String);

/// The original request as trusted proxies describe it; empty where none does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The host that the client asked for, perhaps with a port.
    pub host: Option<&'a str>,
    /// `http` or `https`, as the client asked.
    pub scheme: Option<&'static str>,
}

impl TrustedProxies {
    /// True if what this host says is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// What is known about the original request of one that came from `peer`. Who comes through a
    /// UNIX socket is on this host: trusted if the loopback address is.
    pub fn origin<'a>(&self, peer: &Address, forwarded: Option<&'a Forwarded>) -> Origin<'a> {
        let Some(forwarded) = forwarded else { return Origin::default() };
        let ip = match peer {
            Address::Inet(address) => address.ip(),
            Address::Unix(_) => Ipv4Addr::LOCALHOST.into(),
        };
        if self.trusts(ip) { self.read(forwarded) } else { Origin::default() }
    }

    fn read<'a>(&self, headers: &'a Forwarded) -> Origin<'a> {
        let elements: Vec<Element<'a>> =
            headers.forwarded.as_deref().map(elements).unwrap_or_default();
        let standard = self.walk(elements.iter().map(|element| element.node.and_then(address)));
        let usual = headers.x_forwarded_for.as_deref();
        let usual = self.walk(usual.into_iter().flat_map(list).map(address));
        let (client, hop) = match (standard, usual) {
            // A proxy writes one of the two and passes the other on as it came. If they disagree,
            // one is forged, and which one cannot be known.
            (Some((a, _)), Some((b, _))) if a != b => (None, None),
            (Some((client, hop)), _) | (None, Some((client, hop))) => (Some(client), Some(hop)),
            (None, None) if headers.forwarded.is_none() && headers.x_forwarded_for.is_none() => {
                (headers.x_real_ip.as_deref().and_then(|text| address(text.trim())), None)
            }
            (None, None) => (None, None),
        };
        // The other headers are read where the client was found: the same number of hops back.
        let hop = hop.unwrap_or(0);
        let element = elements.get(hop);
        let listed = |text: Option<&'a str>| {
            let values: Vec<_> = text.into_iter().flat_map(list).collect();
            values.get(hop).or(values.last()).copied()
        };
        let host = element
            .and_then(|element| element.host)
            .or_else(|| listed(headers.x_forwarded_host.as_deref()));
        let scheme = element
            .and_then(|element| element.proto)
            .or_else(|| listed(headers.x_forwarded_proto.as_deref()));
        Origin { client, host, scheme: scheme.and_then(known_scheme) }
    }

    /// The first address that is no trusted proxy, or the last before something unreadable, and
    /// how many addresses were before it. `nodes` come nearest first.
    fn walk(&self, nodes: impl Iterator<Item = Option<IpAddr>>) -> Option<(IpAddr, usize)> {
        let mut found = None;
        for (hop, node) in nodes.take(MAX_HOPS).enumerate() {
            let Some(node) = node else { break };
            found = Some((node, hop));
            if !self.trusts(node) {
                break;
            }
        }
        found
    }
}

impl FromIterator<Cidr> for TrustedProxies {
    fn from_iter<T: IntoIterator<Item = Cidr>>(networks: T) -> Self {
        Self(networks.into_iter().map(|Cidr(network)| network).collect())
    }
}

impl FromStr for Cidr {
    type Err = NotCidr;

    fn from_str(text: &str) -> Result<Self, NotCidr> {
        let text = text.trim();
        let single = || text.parse().map(|address: IpAddr| IpNet::from(address.to_canonical()));
        text.parse().or_else(|_| single()).map(Self).map_err(|_| NotCidr(text.to_owned()))
    }
}

/// What one proxy added to `Forwarded`.
#[derive(Clone, Copy, Debug, Default)]
struct Element<'a> {
    node: Option<&'a str>,
    host: Option<&'a str>,
    proto: Option<&'a str>,
}

/// The elements of `Forwarded` (RFC 7239, section 4), nearest first.
fn elements(header: &str) -> Vec<Element<'_>> {
    let mut elements = Vec::new();
    for element in split(header, b',').filter(|element| !element.is_empty()) {
        let mut read = Element::default();
        for pair in split(element, b';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = Some(unquoted(value.trim())).filter(|value| !value.is_empty());
            match name.trim() {
                name if name.eq_ignore_ascii_case("for") => read.node = value,
                name if name.eq_ignore_ascii_case("host") => read.host = value,
                name if name.eq_ignore_ascii_case("proto") => read.proto = value,
                _ => {}
            }
        }
        elements.push(read);
    }
    elements.reverse();
    elements.truncate(MAX_HOPS);
    elements
}

/// Splits at a separator outside of quoted strings. An unclosed quote reaches to the end.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |c: char| {
        let literal = escaped;
        escaped = quoted && c == '\\' && !literal;
        quoted ^= c == '"' && !literal;
        !quoted && c == separator as char
    })
    .map(str::trim)
}

/// The members of a plain list, nearest first.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.rsplit(',').map(|member| unquoted(member.trim())).filter(|member| !member.is_empty())
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// The address of a node (RFC 7239, section 6): `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]`,
/// `[2001:db8::1]:80`, and IPv6 without brackets as `X-Forwarded-For` has it. `None` for
/// `unknown`, obfuscated identifiers and garbage.
fn address(node: &str) -> Option<IpAddr> {
    let address = if let Some(rest) = node.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        if !port.is_empty() && !port.starts_with(':') {
            return None;
        }
        IpAddr::V6(address.parse().ok()?)
    } else if let Ok(address) = node.parse() {
        address
    } else {
        IpAddr::V4(node.split_once(':')?.0.parse().ok()?)
    };
    Some(address.to_canonical())
}

fn known_scheme(text: &str) -> Option<&'static str> {
    ["https", "http"].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer_at(ip: &str) -> Address {
        Address::Inet((ip.parse::<IpAddr>().expect("an address"), 4711).into())
    }

    fn proxies() -> TrustedProxies {
        ["10.0.0.0/8", "127.0.0.1", "fd00::/8"]
            .map(|c| c.parse::<Cidr>().expect(c))
            .into_iter()
            .collect()
    }

    fn headers(forwarded: &str, x_forwarded_for: &str, x_real_ip: &str) -> Forwarded {
        let set = |text: &str| (!text.is_empty()).then(|| text.into());
        Forwarded {
            forwarded: set(forwarded),
            x_forwarded_for: set(x_forwarded_for),
            x_real_ip: set(x_real_ip),
            ..Forwarded::default()
        }
    }

    fn client(peer: &str, headers: &Forwarded) -> Option<String> {
        proxies().origin(&peer_at(peer), Some(headers)).client.map(|client| client.to_string())
    }

    #[test]
    fn networks() {
        let trusts = |text: &str| proxies().trusts(text.parse().expect(text));
        assert!(trusts("10.9.8.7") && trusts("127.0.0.1") && trusts("fd12::1"));
        assert!(trusts("::ffff:10.0.0.1"));
        assert!(!trusts("127.0.0.2") && !trusts("11.0.0.1") && !trusts("2001:db8::1"));
        for bad in ["", "10.0.0.0/33", "host", "10.0.0", "10.0.0.0/"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
        assert!(!TrustedProxies::default().trusts([127, 0, 0, 1].into()));
    }

    #[test]
    fn strangers_are_not_believed() {
        let all = headers("for=1.2.3.4", "1.2.3.4", "1.2.3.4");
        assert_eq!(client("192.0.2.1", &all), None);
        assert_eq!(client("10.0.0.1", &all).as_deref(), Some("1.2.3.4"));
        assert_eq!(client("::ffff:10.0.0.1", &all).as_deref(), Some("1.2.3.4"));
    }

    #[test]
    fn x_forwarded_for() {
        for (header, expected) in [
            ("203.0.113.9", Some("203.0.113.9")),
            ("203.0.113.9:1234", Some("203.0.113.9")),
            ("6.6.6.6, 203.0.113.9", Some("203.0.113.9")),
            ("6.6.6.6, 203.0.113.9, 10.0.0.7,10.0.0.8", Some("203.0.113.9")),
            ("10.0.0.9, 10.0.0.8", Some("10.0.0.9")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("::ffff:203.0.113.9", Some("203.0.113.9")),
            ("203.0.113.9,,10.0.0.8,", Some("203.0.113.9")),
            ("unknown", None),
            ("garbage, 10.0.0.8", Some("10.0.0.8")),
            ("6.6.6.6, <script>", None),
            ("300.1.1.1", None),
            ("", None),
        ] {
            assert_eq!(
                client("10.0.0.1", &headers("", header, "")).as_deref(),
                expected,
                "{header}"
            );
        }
    }

    #[test]
    fn forwarded() {
        for (header, expected) in [
            ("for=203.0.113.9", Some("203.0.113.9")),
            ("For=203.0.113.9;proto=http;by=203.0.113.43", Some("203.0.113.9")),
            ("for=\"[2001:db8:cafe::17]:4711\"", Some("2001:db8:cafe::17")),
            ("for=\"203.0.113.9:4711\"", Some("203.0.113.9")),
            ("for=6.6.6.6, for=203.0.113.9, for=10.0.0.7", Some("203.0.113.9")),
            ("for=6.6.6.6;host=\"a,b;for=7.7.7.7\", for=10.0.0.7", Some("6.6.6.6")),
            ("for=\"_gazonk\"", None),
            ("for=unknown", None),
            ("for=_hidden, for=10.0.0.7", Some("10.0.0.7")),
            ("proto=https", None),
            ("for", None),
            ("for=\"203.0.113.9", None),
            (",;=,", None),
        ] {
            assert_eq!(
                client("10.0.0.1", &headers(header, "", "")).as_deref(),
                expected,
                "{header}"
            );
        }
    }

    #[test]
    fn headers_that_disagree_are_not_believed() {
        let of = |a, b, c| client("10.0.0.1", &headers(a, b, c));
        assert_eq!(of("for=1.1.1.1", "2.2.2.2", ""), None);
        assert_eq!(of("for=1.1.1.1", "1.1.1.1", "3.3.3.3").as_deref(), Some("1.1.1.1"));
        assert_eq!(of("", "", "3.3.3.3").as_deref(), Some("3.3.3.3"));
        assert_eq!(of("", "junk", "3.3.3.3"), None);
        assert_eq!(of("for=unknown", "2.2.2.2", "").as_deref(), Some("2.2.2.2"));
    }

    #[test]
    fn host_and_scheme_of_the_original() {
        let forwarded = Forwarded {
            forwarded: Some("for=6.6.6.6;host=evil, for=1.1.1.1;host=\"shop.example:8443\";proto=HTTPS, for=10.0.0.3;host=inner".into()),
            ..Forwarded::default()
        };
        let origin = proxies().origin(&peer_at("10.0.0.1"), Some(&forwarded));
        assert_eq!((origin.host, origin.scheme), (Some("shop.example:8443"), Some("https")));
        let usual = Forwarded {
            x_forwarded_for: Some("6.6.6.6, 1.1.1.1".into()),
            x_forwarded_host: Some("evil, shop.example".into()),
            x_forwarded_proto: Some("gopher".into()),
            ..Forwarded::default()
        };
        let origin = proxies().origin(&peer_at("10.0.0.1"), Some(&usual));
        assert_eq!((origin.host, origin.scheme), (Some("shop.example"), None));
    }

    proptest! {
        #[test]
        fn hostile_headers_are_harmless(
            forwarded in "[for=host;,\"\\\\\\[\\]:0-9._ é]{0,120}",
            list in "[,\"\\[\\]:0-9a-f. é]{0,120}",
        ) {
            let mut headers = headers(&forwarded, &list, &list);
            headers.x_forwarded_host = Some(list.as_str().into());
            headers.x_forwarded_proto = headers.x_forwarded_host.clone();
            let _ = proxies().origin(&peer_at("10.0.0.1"), Some(&headers));
        }
    }
}

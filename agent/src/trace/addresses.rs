//! Addresses as text, shared by the spans that name them.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;

use super::Value;
use crate::source::Address;

/// Most addresses that are remembered. A host rarely has more peers at a time; at the limit all
/// are forgotten, which costs each of them one allocation.
const MAX_ADDRESSES: usize = 4096;

/// Texts of addresses.
#[derive(Debug, Default)]
pub(super) struct Addresses(HashMap<IpAddr, Arc<str>>);

impl Addresses {
    /// The address of a peer without its port, where it has one: of a UNIX socket the path.
    pub(super) fn of(&mut self, address: &Address) -> Option<Value> {
        match address {
            Address::Inet(address) => Some(self.text(address.ip())),
            Address::Unix(path) => path.as_ref().map(|path| Value::Shared(Arc::clone(path))),
        }
    }

    /// The address as text; an IPv4 address mapped into IPv6 is written as IPv4.
    pub(super) fn text(&mut self, address: IpAddr) -> Value {
        let address = address.to_canonical();
        if let Some(text) = self.0.get(&address) {
            return Value::Shared(Arc::clone(text));
        }
        if self.0.len() >= MAX_ADDRESSES {
            self.0.clear();
        }
        let text: Arc<str> = address.to_string().into();
        self.0.insert(address, Arc::clone(&text));
        Value::Shared(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_shared_and_bounded() {
        let mut addresses = Addresses::default();
        let mapped = "::ffff:10.0.0.1".parse().expect("an address");
        assert_eq!(addresses.text(mapped), Value::Shared("10.0.0.1".into()));
        let (Value::Shared(a), Value::Shared(b)) =
            (addresses.text([10, 0, 0, 1].into()), addresses.text(mapped))
        else {
            panic!("shared")
        };
        assert!(Arc::ptr_eq(&a, &b));
        for n in 0..3 * MAX_ADDRESSES as u32 {
            addresses.text(IpAddr::V4(n.into()));
        }
        assert!(addresses.0.len() <= MAX_ADDRESSES);
    }
}

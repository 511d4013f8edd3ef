//! Services of a capture: nobody knows their processes, so a server is named after its address.

use std::sync::Arc;

use hashbrown::HashMap;

use super::Resource;
use crate::source::Address;
use crate::trace::Value;

/// Most servers that are remembered. At the limit all are forgotten: spans keep what they have,
/// and a server that is seen again costs one allocation.
const MAX_SERVERS: usize = 4096;

/// The resources of servers.
#[derive(Debug, Default)]
pub struct Servers(HashMap<Address, Arc<Resource>>);

impl Servers {
    /// The resource of the server that listens at `address`. Its `service.name` is the address
    /// (`10.0.0.1:80`, `[fd00::1]:80`): services are told apart, and nothing is made up. It says
    /// nothing of a host or process, of which a capture knows nothing.
    pub fn resource(&mut self, address: &Address) -> Arc<Resource> {
        let address = address.canonical();
        if let Some(resource) = self.0.get(&address) {
            return Arc::clone(resource);
        }
        if self.0.len() >= MAX_SERVERS {
            self.0.clear();
        }
        let resource = Arc::new(describe(&address));
        self.0.insert(address, Arc::clone(&resource));
        resource
    }
}

fn describe(address: &Address) -> Resource {
    let service: Arc<str> = address.to_string().into();
    let version = env!("CARGO_PKG_VERSION");
    let attributes = [
        ("service.name", Value::Shared(Arc::clone(&service))),
        ("telemetry.sdk.language", Value::Static("rust")),
        ("telemetry.sdk.name", Value::Static("tracebee")),
        ("telemetry.sdk.version", Value::Static(version)),
        ("telemetry.distro.name", Value::Static("tracebee")),
        ("telemetry.distro.version", Value::Static(version)),
    ];
    let attributes = attributes.into_iter().map(|(key, value)| (key.into(), value)).collect();
    Resource { service, pid: 0, attributes }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn servers_are_named_after_their_address_and_bounded() {
        let mut servers = Servers::default();
        let named = |servers: &mut Servers, address: &str| {
            let address: SocketAddr = address.parse().expect("an address");
            servers.resource(&address.into())
        };
        let first = named(&mut servers, "10.0.0.1:80");
        assert_eq!(&*first.service, "10.0.0.1:80");
        assert!(Arc::ptr_eq(&first, &named(&mut servers, "[::ffff:10.0.0.1]:80")));
        assert_eq!(&*named(&mut servers, "[fd00::1]:8080").service, "[fd00::1]:8080");
        for port in 0..2 * MAX_SERVERS as u16 {
            servers.resource(&SocketAddr::from(([10, 0, 0, 2], port)).into());
        }
        assert!(servers.0.len() <= MAX_SERVERS);
    }
}

//! Services of a capture: nobody knows their processes, so they are named after their addresses.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;

use super::Resource;
use crate::call::Endpoint;
use crate::source::{Address, Role};
use crate::value::Value;

/// Most services that are remembered. At the limit all are forgotten: spans keep what they have,
/// and a service that is seen again costs one allocation.
const MAX_SERVICES: usize = 4096;

/// Who makes the spans of a call: a server by its address and port, a client, whose ports are as
/// many as its connections, by its address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Service {
    Server(Address),
    Client(IpAddr),
}

/// The resources of the ends of connections.
#[derive(Debug, Default)]
pub struct Addressed(HashMap<Service, Arc<Resource>>);

impl Addressed {
    /// The resource of the end that tells of a call. Its `service.name` is the address
    /// (`10.0.0.1:80`, `[fd00::1]:80`, of a client `10.0.0.9`): services are told apart, and nothing
    /// is made up. It says nothing of a host or process, of which a capture knows nothing.
    pub fn resource(&mut self, end: &Endpoint) -> Arc<Resource> {
        let service = match (end.role, end.local.canonical()) {
            (Role::Client, Address::Inet(address)) => Service::Client(address.ip()),
            (_, address) => Service::Server(address),
        };
        if let Some(resource) = self.0.get(&service) {
            return Arc::clone(resource);
        }
        if self.0.len() >= MAX_SERVICES {
            self.0.clear();
        }
        let resource = Arc::new(describe(match &service {
            Service::Server(address) => address.to_string(),
            Service::Client(address) => address.to_string(),
        }));
        self.0.insert(service, Arc::clone(&resource));
        resource
    }
}

fn describe(name: String) -> Resource {
    let service: Arc<str> = name.into();
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
    use crate::source::ConnectionId;

    fn end(role: Role, address: &str) -> Endpoint {
        let local = Address::Inet(address.parse::<SocketAddr>().expect("an address"));
        Endpoint { id: ConnectionId(1), role, remote: local.clone(), local }
    }

    #[test]
    fn services_are_named_after_their_address_and_bounded() {
        let mut services = Addressed::default();
        let first = services.resource(&end(Role::Server, "10.0.0.1:80"));
        assert_eq!(&*first.service, "10.0.0.1:80");
        let mapped = services.resource(&end(Role::Server, "[::ffff:10.0.0.1]:80"));
        assert!(Arc::ptr_eq(&first, &mapped));
        let named = services.resource(&end(Role::Server, "[fd00::1]:8080"));
        assert_eq!(&*named.service, "[fd00::1]:8080");
        let client = services.resource(&end(Role::Client, "10.0.0.9:40000"));
        assert_eq!(&*client.service, "10.0.0.9");
        let again = services.resource(&end(Role::Client, "10.0.0.9:40001"));
        assert!(Arc::ptr_eq(&client, &again));
        for port in 0..2 * MAX_SERVICES as u16 {
            services.resource(&end(Role::Server, &format!("10.0.0.2:{port}")));
        }
        assert!(services.0.len() <= MAX_SERVICES);
    }
}

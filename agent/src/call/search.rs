//! Which calls over HTTP are calls to Elasticsearch or OpenSearch, and to which of them.
//!
//! What counts as evidence, and why, is in [`protocol::search`](crate::protocol::search). A call is
//! judged once, when it is over: by its own signs and by what is known of its server by then.

use rustc_hash::FxHashMap;

use crate::protocol::http1::{self, Content};
use crate::protocol::search::endpoints::{self, Endpoint};
use crate::protocol::search::{self, System};
use crate::source::{Address, Time};

/// Most servers that are remembered: a host has few such peers. At the limit the one that was silent
/// longest is forgotten.
const MAX_SERVERS: usize = 256;

/// How long a server that says nothing is remembered: another may have its address by then.
const MEMORY: u64 = 600_000_000_000;

/// Servers that are known to be of one of the products.
#[derive(Debug, Default)]
pub struct Servers(FxHashMap<Server, Known>);

/// A server as its clients find it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// The network that the address is in.
    pub netns: u32,
    /// Its address.
    pub address: Address,
}

#[derive(Debug)]
struct Known {
    /// The `Host` that it was asked as: behind one address there may be several.
    host: Option<Box<str>>,
    system: &'static System,
    /// The server said so itself, not a client of it.
    by_itself: bool,
    /// When an answer last looked like that.
    last: Time,
}

/// What a call is.
#[derive(Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Who is asked.
    pub system: &'static System,
    /// What for.
    pub endpoint: &'static Endpoint,
    /// Values of the endpoint's parts, as sent.
    pub values: Vec<Box<str>>,
}

impl Servers {
    /// What a call means that was over at `ended`; none if it is one over HTTP, as far as is known.
    pub fn meaning(
        &mut self,
        request: &http1::Request,
        response: Option<&http1::Response>,
        server: impl FnOnce() -> Server,
        ended: Time,
    ) -> Option<Meaning> {
        let said = response.and_then(said);
        let meant = request.signs.search.system();
        if said.is_none() && meant.is_none() && self.0.is_empty() {
            return None;
        }
        let server = server();
        let looks_right = response.is_some_and(|r| r.signs.search.may_be_theirs());
        let known = self.known(&server, request, ended);
        let system = match (said, meant, known) {
            (Some(said), _, _) => said,
            (None, Some(_), Some((known, true))) => known,
            (None, Some(meant), _) => meant,
            (None, None, Some((known, _))) if looks_right => known,
            (None, None, Some(_)) if response.is_some() => {
                // Somebody else answers there, too.
                self.0.remove(&server);
                return None;
            }
            (None, None, _) => return None,
        };
        let found = endpoints::find(&request.method, search::path(&request.target)?);
        let as_expected = response.is_some_and(|response| {
            looks_right && (200..300).contains(&response.status) && response.signs.search.is_json()
        });
        if said.is_some() {
            self.learn(server, request, system, true, ended);
        } else if found.is_some()
            && (known.is_some_and(|(known, _)| known == system) && looks_right || as_expected)
        {
            let by_itself = known.is_some_and(|(_, by_itself)| by_itself);
            self.learn(server, request, system, by_itself, ended);
        }
        let (endpoint, values) = found?;
        let values = values.into_iter().map(Into::into).collect();
        Some(Meaning { system, endpoint, values })
    }

    fn known(
        &self,
        server: &Server,
        request: &http1::Request,
        now: Time,
    ) -> Option<(&'static System, bool)> {
        let known = self.0.get(server)?;
        let young = now.0.saturating_sub(known.last.0) <= MEMORY;
        (young && known.host == request.host).then_some((known.system, known.by_itself))
    }

    fn learn(
        &mut self,
        server: Server,
        request: &http1::Request,
        system: &'static System,
        by_itself: bool,
        last: Time,
    ) {
        if let Some(known) = self.0.get_mut(&server)
            && known.host == request.host
        {
            *known = Known { host: known.host.take(), system, by_itself, last };
            return;
        }
        if self.0.len() >= MAX_SERVERS
            && let Some(oldest) = self.0.iter().min_by_key(|(_, known)| known.last)
        {
            let oldest = oldest.0.clone();
            self.0.remove(&oldest);
        }
        self.0.insert(server, Known { host: request.host.clone(), system, by_itself, last });
    }
}

/// What a server says that it is.
fn said(response: &http1::Response) -> Option<&'static System> {
    let root = match response.content.as_deref() {
        Some(Content::Search(search::Content::Root(system))) => Some(*system),
        _ => None,
    };
    response.signs.search.system().or(root)
}

#[cfg(test)]
mod tests;

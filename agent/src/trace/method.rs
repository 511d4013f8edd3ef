//! Request methods as attributes and names want them.

/// The methods that the conventions know (RFC 9110, PATCH of RFC 5789, QUERY), and any other.
/// Methods are case-sensitive: `get` is an other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Method {
    /// `CONNECT`
    Connect,
    /// `DELETE`
    Delete,
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `OPTIONS`
    Options,
    /// `PATCH`
    Patch,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `QUERY`
    Query,
    /// `TRACE`
    Trace,
    /// Any other.
    Other,
}

impl Method {
    /// How many there are, [`Method::Other`] included.
    pub(super) const COUNT: usize = Method::Other as usize + 1;

    /// The method of this name.
    pub(super) fn of(name: &str) -> Self {
        match name {
            "CONNECT" => Method::Connect,
            "DELETE" => Method::Delete,
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "OPTIONS" => Method::Options,
            "PATCH" => Method::Patch,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "QUERY" => Method::Query,
            "TRACE" => Method::Trace,
            _ => Method::Other,
        }
    }

    /// The value of `http.request.method`.
    pub(super) fn attribute(self) -> &'static str {
        match self {
            Method::Connect => "CONNECT",
            Method::Delete => "DELETE",
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Options => "OPTIONS",
            Method::Patch => "PATCH",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Query => "QUERY",
            Method::Trace => "TRACE",
            Method::Other => "_OTHER",
        }
    }

    /// The word that stands for it in span names.
    pub(super) fn in_name(self) -> &'static str {
        if self == Method::Other { "HTTP" } else { self.attribute() }
    }

    /// A number below [`Method::COUNT`].
    pub(super) fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_methods_agree() {
        for name in [
            "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE",
        ] {
            assert_eq!(Method::of(name).attribute(), name);
            assert_eq!(Method::of(name).in_name(), name);
        }
        for name in ["", "get", "PROPFIND", "_OTHER"] {
            assert_eq!(Method::of(name).attribute(), "_OTHER");
            assert_eq!(Method::of(name).in_name(), "HTTP");
        }
    }
}

//! The URL rules of OTLP (specification, protocol/exporter.md "Endpoint URLs for OTLP/HTTP").

use std::fmt;

use url::{Host, Url};

use super::{ConfigError, Protocol};

/// A receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
}

/// Where an endpoint was given: it decides what happens to its path.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// `--otlp-endpoint` or its twin: a base, or the whole URL if it says `/v1/traces`.
    Flag(String),
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`: used as it is.
    Traces(String),
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: a base that the signal's path is appended to.
    General(String),
}

/// Path of the traces signal below a base URL.
const TRACES_PATH: &str = "/v1/traces";

impl Source {
    pub(super) fn url(&self) -> &str {
        match self {
            Source::Flag(url) | Source::Traces(url) | Source::General(url) => url,
        }
    }
}

impl Endpoint {
    pub(super) fn resolve(
        source: Source,
        protocol: Protocol,
        insecure: bool,
    ) -> Result<Self, ConfigError> {
        let text = source.url();
        if protocol == Protocol::HttpProtobuf && !text.contains("://") {
            return Err(error(text, "it has no scheme (http:// or https://)"));
        }
        let mut url = parse(text, insecure)?;
        let append = match source {
            Source::General(_) => true,
            Source::Flag(_) => !url.path().trim_end_matches('/').ends_with(TRACES_PATH),
            Source::Traces(_) => false,
        };
        if protocol == Protocol::HttpProtobuf && append {
            let path = format!("{}{TRACES_PATH}", url.path().trim_end_matches('/'));
            url.set_path(&path);
        }
        Ok(Endpoint { url })
    }

    /// The whole URL that requests go to.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The receiver's host name or address, without brackets.
    pub fn host(&self) -> String {
        match self.url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => String::new(),
        }
    }

    /// The receiver's port.
    pub fn port(&self) -> u16 {
        // Only http and https get here, and both have a default.
        self.url.port_or_known_default().unwrap_or_default()
    }

    /// True for https.
    pub fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }
}

impl fmt::Display for Endpoint {
    /// Without user and password, if somebody put them there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.url.clone();
        if !url.username().is_empty() || url.password().is_some() {
            // Both only fail for URLs without a host, which are refused at parsing.
            _ = url.set_username("");
            _ = url.set_password(None);
        }
        f.write_str(url.as_str())
    }
}

/// The port of an endpoint whose protocol is not known yet.
pub(super) fn port(text: &str, insecure: bool) -> Result<u16, ConfigError> {
    Ok(parse(text, insecure)?.port_or_known_default().unwrap_or_default())
}

fn parse(text: &str, insecure: bool) -> Result<Url, ConfigError> {
    // gRPC endpoints may come without a scheme; secure is the standard's default for them.
    let with_scheme = match (text.contains("://"), insecure) {
        (true, _) => text.to_owned(),
        (false, true) => format!("http://{text}"),
        (false, false) => format!("https://{text}"),
    };
    let url = Url::parse(&with_scheme).map_err(|e| error(text, &e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        let reason = format!("scheme {:?} is neither http nor https", url.scheme());
        return Err(error(text, &reason));
    }
    if url.port() == Some(0) {
        return Err(error(text, "port 0 cannot be connected to"));
    }
    Ok(url)
}

fn error(url: &str, reason: &str) -> ConfigError {
    ConfigError::Endpoint { url: url.to_owned(), reason: reason.to_owned() }
}

//! Where OTLP goes and how: flags, their `TRACEBEE_*` twins and the standard `OTEL_*` variables.
//!
//! For each setting the first that is set wins: flag, twin, the variable of the traces signal,
//! the general variable, default. An empty variable is an unset one; a number that cannot be
//! read is reported and its default used (specification, configuration/common.md).

mod endpoint;
mod env;
mod headers;
mod tls;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use opentelemetry_otlp as otel;

use crate::export::queue::Limit;
pub use endpoint::Endpoint;
use env::Env;
pub use tls::{Identity, Tls};

/// Flags of the OTLP exporter.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "OTLP export (the standard OTEL_* variables work too)")]
pub struct OtlpArgs {
    /// Send spans to this receiver, e.g. http://localhost:4317
    #[arg(long, value_name = "URL", env = "TRACEBEE_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,

    /// Protocol [default: grpc; http/protobuf if the port is 4318]
    #[arg(
        long,
        value_name = "PROTOCOL",
        env = "TRACEBEE_OTLP_PROTOCOL",
        hide_default_value = true,
        default_value = ""
    )]
    pub otlp_protocol: ProtocolArg,

    /// Header for each request; repeat it for several [env: TRACEBEE_OTLP_HEADER=k1=v1,k2=v2]
    #[arg(long, value_name = "KEY=VALUE")]
    pub otlp_header: Vec<String>,

    /// Trust only the CA certificates of this PEM file
    #[arg(long, value_name = "FILE", env = "TRACEBEE_OTLP_CA")]
    pub otlp_ca: Option<PathBuf>,

    /// Client certificate (PEM); needs --otlp-key
    #[arg(long, value_name = "FILE", env = "TRACEBEE_OTLP_CERT")]
    pub otlp_cert: Option<PathBuf>,

    /// Private key of the client certificate (PEM)
    #[arg(long, value_name = "FILE", env = "TRACEBEE_OTLP_KEY")]
    pub otlp_key: Option<PathBuf>,

    /// Compression of requests [default: none]
    #[arg(
        long,
        value_name = "METHOD",
        env = "TRACEBEE_OTLP_COMPRESSION",
        hide_default_value = true,
        default_value = ""
    )]
    pub otlp_compression: CompressionArg,
}

/// `--otlp-protocol`.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProtocolArg {
    /// OTLP/gRPC
    #[value(name = "grpc")]
    Grpc,
    /// OTLP/HTTP with protobuf bodies
    #[value(name = "http/protobuf")]
    HttpProtobuf,
    /// Not given, or an empty variable
    #[default]
    #[value(name = "", hide = true)]
    Unset,
}

/// `--otlp-compression`.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompressionArg {
    /// gzip
    Gzip,
    /// As they are
    None,
    /// Not given, or an empty variable
    #[default]
    #[value(name = "", hide = true)]
    Unset,
}

/// How OTLP travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP, protobuf bodies.
    HttpProtobuf,
}

/// All that an OTLP exporter needs to know.
#[derive(Clone)]
pub struct OtlpConfig {
    /// Where to.
    pub endpoint: Endpoint,
    /// How.
    pub protocol: Protocol,
    /// Sent with each request. Values may be secrets: they are not shown by `Debug`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// gzip requests.
    pub gzip: bool,
    /// Limit for one request; none waits for ever.
    pub timeout: Option<Duration>,
    /// How long one batch is tried before it is given up.
    pub retry_budget: Duration,
    /// Certificates, read already.
    pub tls: Tls,
    /// Longest time that a span waits for others to share its request.
    pub schedule_delay: Duration,
    /// Spans in one request.
    pub max_batch: NonZeroUsize,
    /// What waits at most.
    pub queue: Limit,
}

/// Why a configuration cannot be used. Each is one line: what was tried, what came back, what to do.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// The endpoint is not a URL that can be used.
    #[error("cannot use OTLP endpoint {url:?}: {reason}; give a URL like http://localhost:4317")]
    Endpoint {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A header is not one.
    #[error("cannot use OTLP header {name:?}: {reason}; write KEY=VALUE")]
    Header {
        /// What stands before the `=`; the value may be a secret.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate or key cannot be used.
    #[error("cannot use {what} {}: {reason}; check the path and that it is PEM", path.display())]
    Certificate {
        /// Which of the three.
        what: &'static str,
        /// As given.
        path: PathBuf,
        /// What came back.
        reason: String,
    },
    /// A client certificate without key, or the reverse.
    #[error("a client certificate needs its key: {missing} is missing; give both or neither")]
    HalfIdentity {
        /// The flag that was not given.
        missing: &'static str,
    },
}

/// The specification says 5 s; an agent that people watch should show its spans at once, and at
/// the rates where batches matter they fill sooner than that.
const SCHEDULE_DELAY: Duration = Duration::from_secs(1);
/// Spans in one request (specification, trace/sdk.md, batching processor).
const MAX_BATCH: NonZeroUsize = NonZeroUsize::MIN.saturating_add(511);
/// A receiver that restarts or is moved comes back within minutes; what waits for it is bounded
/// by the queue, not by this.
const RETRY_BUDGET: Duration = Duration::from_secs(300);
/// The port that the specification gives to OTLP/HTTP.
const HTTP_PORT: u16 = 4318;

const CERTIFICATE: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"];
const CLIENT_CERTIFICATE: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"];
const CLIENT_KEY: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"];

impl OtlpArgs {
    /// The configuration that flags and variables describe; none if no endpoint is set anywhere.
    ///
    /// `lookup` reads an environment variable. Certificates are read here, so that a wrong path
    /// stops the start and not the first request.
    pub fn resolve(
        &self,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<OtlpConfig>, ConfigError> {
        let env = Env::new(&lookup);
        let Some(source) = self.endpoint_source(&env) else { return Ok(None) };

        let insecure = env
            .first([otel::OTEL_EXPORTER_OTLP_TRACES_INSECURE, otel::OTEL_EXPORTER_OTLP_INSECURE])
            .is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"));
        let port = endpoint::port(source.url(), insecure)?;
        let protocol = self.protocol(&env).unwrap_or(match port {
            HTTP_PORT => Protocol::HttpProtobuf,
            _ => Protocol::Grpc,
        });
        let endpoint = Endpoint::resolve(source, protocol, insecure)?;

        let queue_size = env.number("OTEL_BSP_MAX_QUEUE_SIZE").and_then(non_zero);
        let mut max_batch =
            env.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE").and_then(non_zero).unwrap_or(MAX_BATCH);
        if let Some(size) = queue_size {
            // A batch that the queue cannot hold would never be full.
            max_batch = max_batch.min(size);
        }
        Ok(Some(OtlpConfig {
            tls: self.tls(&env, &endpoint)?,
            endpoint,
            protocol,
            headers: headers::resolve(&self.otlp_header, &env)?,
            gzip: self.gzip(&env),
            timeout: timeout(&env),
            retry_budget: env.millis("OTEL_BSP_EXPORT_TIMEOUT").unwrap_or(RETRY_BUDGET),
            schedule_delay: env.millis("OTEL_BSP_SCHEDULE_DELAY").unwrap_or(SCHEDULE_DELAY),
            max_batch,
            queue: queue_size.map_or_else(Limit::default, Limit::Spans),
        }))
    }

    fn endpoint_source(&self, env: &Env<'_>) -> Option<endpoint::Source> {
        use endpoint::Source;
        if let Some(url) = self.otlp_endpoint.clone().filter(|url| !url.is_empty()) {
            return Some(Source::Flag(url));
        }
        if let Some(url) = env.get(otel::OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) {
            return Some(Source::Traces(url));
        }
        env.get(otel::OTEL_EXPORTER_OTLP_ENDPOINT).map(Source::General)
    }

    fn protocol(&self, env: &Env<'_>) -> Option<Protocol> {
        match self.otlp_protocol {
            ProtocolArg::Grpc => return Some(Protocol::Grpc),
            ProtocolArg::HttpProtobuf => return Some(Protocol::HttpProtobuf),
            ProtocolArg::Unset => {}
        }
        env.choice(
            [otel::OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, otel::OTEL_EXPORTER_OTLP_PROTOCOL],
            &[
                (otel::OTEL_EXPORTER_OTLP_PROTOCOL_GRPC, Protocol::Grpc),
                (otel::OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF, Protocol::HttpProtobuf),
            ],
        )
    }

    fn gzip(&self, env: &Env<'_>) -> bool {
        match self.otlp_compression {
            CompressionArg::Gzip => return true,
            CompressionArg::None => return false,
            CompressionArg::Unset => {}
        }
        env.choice(
            [otel::OTEL_EXPORTER_OTLP_TRACES_COMPRESSION, otel::OTEL_EXPORTER_OTLP_COMPRESSION],
            &[("gzip", true), ("none", false)],
        )
        .unwrap_or(false)
    }

    fn tls(&self, env: &Env<'_>, endpoint: &Endpoint) -> Result<Tls, ConfigError> {
        let path = |flag: &Option<PathBuf>, variables| {
            flag.clone()
                .filter(|path| !path.as_os_str().is_empty())
                .or_else(|| env.first(variables).map(|(_, path)| path.into()))
        };
        let files = tls::Files {
            ca: path(&self.otlp_ca, CERTIFICATE),
            cert: path(&self.otlp_cert, CLIENT_CERTIFICATE),
            key: path(&self.otlp_key, CLIENT_KEY),
        };
        if !endpoint.is_tls() && files.any() {
            tracing::warn!("OTLP endpoint {endpoint} is not https: certificates are not used");
            return Ok(Tls::default());
        }
        Tls::read(files)
    }
}

fn timeout(env: &Env<'_>) -> Option<Duration> {
    let variables = [otel::OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, otel::OTEL_EXPORTER_OTLP_TIMEOUT];
    let timeout = variables
        .into_iter()
        .find_map(|name| env.millis(name))
        .unwrap_or(otel::OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT);
    Some(timeout).filter(|timeout| !timeout.is_zero())
}

fn non_zero(n: u64) -> Option<NonZeroUsize> {
    NonZeroUsize::new(usize::try_from(n).unwrap_or(usize::MAX))
}

impl fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            endpoint,
            protocol,
            headers,
            gzip,
            timeout,
            retry_budget,
            tls,
            schedule_delay,
            max_batch,
            queue,
        } = self;
        let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("OtlpConfig")
            .field("endpoint", endpoint)
            .field("protocol", protocol)
            .field("headers", &names)
            .field("gzip", gzip)
            .field("timeout", timeout)
            .field("retry_budget", retry_budget)
            .field("tls", tls)
            .field("schedule_delay", schedule_delay)
            .field("max_batch", max_batch)
            .field("queue", queue)
            .finish()
    }
}

#[cfg(test)]
mod tests;

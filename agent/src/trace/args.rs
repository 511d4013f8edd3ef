//! The flags that decide what spans say and which are told: the same live and in a replay.

use clap::{Args, ValueEnum};

use super::Tracer;
use super::client_address::Cidr;
use super::propagation::Propagators;
use super::sampler::Sampler;

/// How the parents of calls are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Attribution {
    /// By every rule that holds for the process
    #[default]
    Auto,
    /// Not at all: each call that a process makes begins a trace, and nothing is watched inside of
    /// processes
    None,
}

/// Flags of traces.
#[derive(Args, Clone, Debug)]
pub struct TraceArgs {
    /// Believe the Forwarded and X-Forwarded-* headers of these networks
    #[arg(long, value_name = "CIDR", env = "TRACEBEE_TRUSTED_PROXY", value_delimiter = ',')]
    pub trusted_proxy: Vec<Cidr>,
    /// Formats of trace context in requests that are believed, the first valid one: tracecontext, b3,
    /// b3multi, jaeger, xray, datadog, or none
    #[arg(long, value_name = "NAMES", env = "OTEL_PROPAGATORS", default_value = "tracecontext")]
    pub propagators: Propagators,
    /// Whether the calls that a process makes are linked to the request that it makes them for. Its
    /// own requests are linked to their callers in any case
    #[arg(long, value_name = "HOW", env = "TRACEBEE_ATTRIBUTION", default_value = "auto")]
    pub attribution: Attribution,
    /// Which traces are told: always_on, always_off or traceidratio, each also with parentbased_ before
    /// it, by which the decision of a request's sender holds
    #[arg(
        long,
        value_name = "NAME",
        env = "OTEL_TRACES_SAMPLER",
        default_value = "parentbased_always_on"
    )]
    pub sampler: String,
    /// The share of traces that traceidratio keeps, from 0 to 1 [default: 1]
    #[arg(long, value_name = "RATIO", env = "OTEL_TRACES_SAMPLER_ARG")]
    pub sampler_arg: Option<String>,
}

impl TraceArgs {
    /// The tracer that the flags describe. What they say that is not known here is logged, and the
    /// default used.
    pub fn tracer(self) -> Tracer {
        for name in self.propagators.unknown() {
            tracing::warn!("OTEL_PROPAGATORS: {name} is not known here and is left out");
        }
        let (sampler, complaint) = Sampler::named(&self.sampler, self.sampler_arg.as_deref());
        if let Some(complaint) = complaint {
            tracing::warn!("{complaint}");
        }
        Tracer::new(self.trusted_proxy.into_iter().collect(), self.propagators, sampler)
            .with_attribution(self.attribution)
    }
}

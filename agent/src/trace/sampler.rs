//! Which traces are told (`OTEL_TRACES_SAMPLER`).
//!
//! By a ratio it is the trace id itself that decides, so all who see a trace decide alike without a
//! word between them: a trace is kept if the low 56 bits of its id, or the `rv` of its `tracestate`,
//! are at or above a threshold (W3C Trace Context Level 2; OpenTelemetry's consistent probability
//! sampling). What was kept says by which (`ot=th:...`), so that receivers can scale counts up.

use opentelemetry::TraceId;

use super::context::SAMPLED;

/// Flag of our own, in none of W3C's bits: the trace began on this host, where a ratio decided.
pub const DECIDED: u8 = 0x80;

/// Values of 56 bits.
const RANGE: u64 = 1 << 56;

/// What decides where no parent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    On,
    Off,
    /// Kept from this threshold on.
    Ratio(u64),
}

/// A sampler by the names of the specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampler {
    rule: Rule,
    /// A parent's decision holds.
    parent_based: bool,
    /// `tracestate` of traces that began here.
    state: Option<Box<str>>,
}

impl Default for Sampler {
    fn default() -> Self {
        Self { rule: Rule::On, parent_based: true, state: None }
    }
}

impl Sampler {
    /// The sampler `name` with its argument, as `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`
    /// have them, and what is wrong with either. What is not known is the default: a sampler must not
    /// keep anybody from running.
    pub fn named(name: &str, argument: Option<&str>) -> (Self, Option<String>) {
        let lower = name.trim().to_ascii_lowercase();
        let (parent_based, rule) = match lower.strip_prefix("parentbased_") {
            Some(rule) => (true, rule),
            None => (false, lower.as_str()),
        };
        let mut complaint = None;
        let rule = match rule {
            "always_on" => Rule::On,
            "always_off" => Rule::Off,
            "traceidratio" => {
                let text = argument.map(str::trim).filter(|text| !text.is_empty());
                let ratio = match text.map(str::parse::<f64>) {
                    None => 1.0,
                    Some(Ok(ratio)) if (0.0..=1.0).contains(&ratio) => ratio,
                    Some(_) => {
                        complaint = Some(format!(
                            "OTEL_TRACES_SAMPLER_ARG: {} is no number from 0 to 1; 1 is used",
                            text.unwrap_or_default()
                        ));
                        1.0
                    }
                };
                Rule::Ratio(((1.0 - ratio) * RANGE as f64).round() as u64)
            }
            "" => return (Self::default(), None),
            _ => {
                let unknown = format!(
                    "OTEL_TRACES_SAMPLER: {name} is not known here; parentbased_always_on is used"
                );
                return (Self::default(), Some(unknown));
            }
        };
        let state = match rule {
            Rule::Ratio(threshold) if threshold < RANGE => Some(state(threshold)),
            _ => None,
        };
        (Self { rule, parent_based, state }, complaint)
    }

    /// The flags of a span that begins a trace, from those that its id deserves.
    pub fn root(&self, flags: u8, trace_id: TraceId) -> u8 {
        let decided = if self.state.is_some() { DECIDED } else { 0 };
        self.decide(flags, trace_id, None) | decided
    }

    /// The flags of a span under one that has `flags` and says `state`.
    pub fn child(&self, flags: u8, trace_id: TraceId, state: Option<&str>) -> u8 {
        if self.parent_based || flags & DECIDED != 0 {
            return flags;
        }
        self.decide(flags, trace_id, state)
    }

    /// The `tracestate` of a span with these flags that has none of its own.
    pub fn state(&self, flags: u8) -> Option<Box<str>> {
        (flags & (DECIDED | SAMPLED) == DECIDED | SAMPLED).then(|| self.state.clone()).flatten()
    }

    fn decide(&self, flags: u8, trace_id: TraceId, state: Option<&str>) -> u8 {
        let keeps = match self.rule {
            Rule::On => true,
            Rule::Off => false,
            Rule::Ratio(threshold) => {
                let own = || u128::from_be_bytes(trace_id.to_bytes()) as u64 & (RANGE - 1);
                state.and_then(random_value).unwrap_or_else(own) >= threshold
            }
        };
        if keeps { flags | SAMPLED } else { flags & !SAMPLED }
    }
}

/// `ot=th:` and the threshold, without the zeros at its end.
fn state(threshold: u64) -> Box<str> {
    let digits = format!("{threshold:014x}");
    let digits = digits.trim_end_matches('0');
    format!("ot=th:{}", if digits.is_empty() { "0" } else { digits }).into()
}

/// The `rv` of OpenTelemetry's member: 14 hexadecimal digits.
fn random_value(state: &str) -> Option<u64> {
    let member = state.split(',').find_map(|member| member.trim().strip_prefix("ot="))?;
    let value = member.split(';').find_map(|part| part.strip_prefix("rv:"))?;
    let valid = value.len() == 14 && value.bytes().all(|c| c.is_ascii_hexdigit());
    valid.then(|| u64::from_str_radix(value, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::context::RANDOM;

    fn named(name: &str, argument: &str) -> Sampler {
        let (sampler, complaint) = Sampler::named(name, Some(argument));
        assert_eq!(complaint, None);
        sampler
    }

    /// A trace whose 56 bits are these.
    fn trace(random: u64) -> TraceId {
        TraceId::from(0xffff_ffff_ffff_ffff_ff00_0000_0000_0000 | u128::from(random))
    }

    /// What becomes of a root, of a child of a sampled parent, and of one that is not.
    fn fates(sampler: &Sampler, random: u64) -> [bool; 3] {
        [
            sampler.root(SAMPLED | RANDOM, trace(random)),
            sampler.child(SAMPLED, trace(random), None),
            sampler.child(0, trace(random), None),
        ]
        .map(|flags| flags & SAMPLED != 0)
    }

    #[test]
    fn the_six_of_the_specification() {
        let (low, high) = (RANGE / 2 - 1, RANGE / 2);
        for (name, of_low, of_high) in [
            ("always_on", [true; 3], [true; 3]),
            ("always_off", [false; 3], [false; 3]),
            ("traceidratio", [false; 3], [true; 3]),
            ("parentbased_always_on", [true, true, false], [true, true, false]),
            ("parentbased_always_off", [false, true, false], [false, true, false]),
            ("ParentBased_TraceIdRatio", [false, true, false], [true, true, false]),
            ("", [true, true, false], [true, true, false]),
        ] {
            let sampler = named(name, "0.5");
            assert_eq!((fates(&sampler, low), fates(&sampler, high)), (of_low, of_high), "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_the_default_used() {
        for (name, argument) in [("traceidratio", "x"), ("traceidratio", "1.5"), ("xray", "")] {
            let (sampler, complaint) = Sampler::named(name, Some(argument));
            assert!(complaint.is_some_and(|complaint| complaint.contains("is ")), "{name}");
            assert!(sampler.root(SAMPLED, trace(0)) & SAMPLED != 0);
        }
        assert_eq!(Sampler::named("traceidratio", None).1, None);
    }

    #[test]
    fn thresholds_are_told_in_tracestate() {
        for (ratio, told) in [("1", "ot=th:0"), ("0.5", "ot=th:8"), ("0.25", "ot=th:c")] {
            let sampler = named("traceidratio", ratio);
            let flags = sampler.root(SAMPLED, trace(RANGE - 1));
            assert_eq!(sampler.state(flags).as_deref(), Some(told), "{ratio}");
            assert_eq!(sampler.state(flags & !SAMPLED), None);
            assert_eq!(sampler.state(SAMPLED), None, "another decided");
        }
        let none = named("traceidratio", "0");
        assert_eq!(none.root(SAMPLED, trace(RANGE - 1)), 0);
    }

    #[test]
    fn children_of_a_trace_that_began_here_share_its_fate() {
        let sampler = named("traceidratio", "0.5");
        for random in [0, RANGE - 1] {
            let root = sampler.root(SAMPLED, trace(random));
            assert_eq!(sampler.child(root, trace(random), None), root);
        }
    }

    #[test]
    fn another_tracers_random_value_counts() {
        let sampler = named("traceidratio", "0.5");
        for (state, kept) in [
            ("ot=rv:80000000000000", true),
            ("dd=s:1, ot=th:0;rv:7fffffffffffff", false),
            ("ot=rv:8", false),
            ("rv:80000000000000", false),
        ] {
            let flags = sampler.child(SAMPLED, trace(0), Some(state));
            assert_eq!(flags & SAMPLED != 0, kept, "{state}");
        }
    }
}

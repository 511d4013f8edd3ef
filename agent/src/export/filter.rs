//! Which calls people want to see. Applies to text and JSON only, never to OTLP.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use jiff::SignedDuration;

use crate::export::view;
use crate::trace::{Span, WAITS};

/// Flags that narrow the printed output.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Show only (text and json output; OTLP always gets every span)")]
pub struct FilterArgs {
    /// Only calls that failed
    #[arg(long, env = "TRACEBEE_ERRORS", value_parser = FalseyValueParser::new())]
    pub errors: bool,

    /// Only calls that took at least this long: 100ms, 1.5s, 2m (not those that wait on purpose)
    #[arg(long, value_name = "DURATION", env = "TRACEBEE_SLOW", value_parser = duration)]
    pub slow: Option<Duration>,

    /// Only calls to these paths: a prefix, or a pattern with `*` for any text
    #[arg(long, value_name = "GLOB", env = "TRACEBEE_PATH")]
    pub path: Option<String>,

    /// Only calls of this service; repeat it for several (the variable takes a list: a,b)
    #[arg(long, value_name = "NAME", env = "TRACEBEE_SERVICE", value_delimiter = ',')]
    pub service: Vec<String>,
}

impl FilterArgs {
    /// The filter that the flags describe. Empty values are no filter.
    pub fn filter(&self) -> Filter {
        Filter {
            errors: self.errors,
            slow: self.slow.filter(|slow| !slow.is_zero()),
            path: self.path.clone().filter(|path| !path.is_empty()),
            services: self.service.iter().filter(|name| !name.is_empty()).cloned().collect(),
        }
    }
}

/// Decides which spans are printed; the default shows all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    errors: bool,
    slow: Option<Duration>,
    path: Option<String>,
    services: Vec<String>,
}

impl Filter {
    /// True if people asked for this span.
    pub fn shows(&self, span: &Span) -> bool {
        (!self.errors || span.error)
            && self.slow.is_none_or(|slow| view::duration(span) >= slow && !waits(span))
            && (self.services.is_empty()
                || self.services.iter().any(|name| **name == *span.resource.service))
            && self.path.as_ref().is_none_or(|pattern| {
                view::path(span).is_some_and(|path| path_matches(pattern, path))
            })
    }

    /// Keeps the spans that are shown.
    pub fn retain(&self, spans: &mut Vec<Arc<Span>>) {
        spans.retain(|span| self.shows(span));
    }
}

/// True for a call that takes long because it waits for something (`BLPOP`).
fn waits(span: &Span) -> bool {
    span.attribute(WAITS).is_some()
}

/// Reads `100ms`, `1.5s`, `2m`; empty is zero (an empty variable is an unset one).
pub fn duration(text: &str) -> Result<Duration, String> {
    if text.is_empty() {
        return Ok(Duration::ZERO);
    }
    SignedDuration::from_str(text)
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "expected a duration like 100ms, 1.5s or 2m".to_owned())
}

/// Without `*` a prefix; with it the whole path must fit, `*` standing for any text.
fn path_matches(pattern: &str, path: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return path.starts_with(pattern);
    };
    let Some(mut rest) = path.strip_prefix(head) else { return false };
    let mut parts = tail.split('*');
    // What follows the last star must end the path; what is between stars may match at its
    // first place, which leaves the most for the others.
    let last = parts.next_back().unwrap_or("");
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::export::tests::{client_span, span};

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        filter: FilterArgs,
    }

    fn filter(args: &[&str]) -> Filter {
        let args = std::iter::once("tracebee").chain(args.iter().copied());
        Cli::try_parse_from(args).expect("the test's flags are valid").filter.filter()
    }

    #[test]
    fn reads_durations_as_people_write_them() {
        assert_eq!(duration("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(duration(""), Ok(Duration::ZERO));
        for wrong in ["fast", "12", "-1s", "ms"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn path_is_a_prefix_or_a_glob() {
        for (pattern, path, fits) in [
            ("/api", "/api/v1", true),
            ("/api", "/v1/api", false),
            ("/api/*/items", "/api/7/items", true),
            ("/api/*/items", "/api/7/items/3", false),
            ("*items", "/api/items", true),
            ("*/items*", "/a/items/b", true),
            ("/a*a", "/a", false),
            ("/a*b*b", "/ab", false),
            ("/a*b*b", "/abb", true),
            ("*", "", true),
        ] {
            assert_eq!(path_matches(pattern, path), fits, "{pattern} {path}");
        }
    }

    #[test]
    fn every_flag_narrows() {
        let mut call = span(1);
        assert!(filter(&[]).shows(&call));
        assert!(!filter(&["--errors"]).shows(&call));
        call.error = true;
        assert!(filter(&["--errors"]).shows(&call));
        assert!(filter(&["--slow", "3ms"]).shows(&call));
        assert!(!filter(&["--slow", "4ms"]).shows(&call));
        assert!(filter(&["--service", "cart", "--service", "shop"]).shows(&call));
        assert!(!filter(&["--service", "cart"]).shows(&call));
        assert!(filter(&["--path", "/movies"]).shows(&call));
        assert!(filter(&["--path", "/v2/*"]).shows(&client_span(1)));
        assert!(!filter(&["--errors", "--path", "/cart"]).shows(&call));
    }
}

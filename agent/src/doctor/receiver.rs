//! Where spans go: a request without spans is sent there, as spans would be.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use super::finding::{Area, Finding};
use crate::export::{self, OtlpConfig, Unreached};

const AREA: Area = Area::Export;
const TOPIC: &str = "OTLP receiver";
/// Longest wait for an answer: a person waits for the report.
const LIMIT: Duration = Duration::from_secs(2);

/// Beside the finding the addresses of a receiver that answers: traffic to it is not traced.
pub(super) fn check(otlp: Option<&OtlpConfig>) -> (Option<Finding>, Vec<SocketAddr>) {
    let Some(config) = otlp else {
        return (Some(AREA.ok(TOPIC, "none given: spans go to standard output")), Vec::new());
    };
    let answer = export::reach(config, LIMIT);
    let finding = verdict(&config.endpoint.to_string(), answer.as_ref().err());
    // Only now: where nobody answers, looking up the name may take long.
    let addresses = match answer {
        Ok(()) | Err(Unreached::Refused(_)) => {
            let place = (config.endpoint.host(), config.endpoint.port());
            (place.0.as_str(), place.1)
                .to_socket_addrs()
                .map_or_else(|_| Vec::new(), Iterator::collect)
        }
        Err(_) => Vec::new(),
    };
    (Some(finding), addresses)
}

fn verdict(endpoint: &str, failure: Option<&Unreached>) -> Finding {
    match failure {
        None => AREA.ok(TOPIC, format!("{endpoint} takes spans")),
        Some(Unreached::Setup(error)) => {
            AREA.problem(TOPIC, error.as_str(), "check the flags --otlp-*")
        }
        Some(Unreached::NoAnswer(error)) => AREA.problem(
            TOPIC,
            format!("{endpoint}: {error}"),
            "start it, or check --otlp-endpoint, --otlp-protocol and the network between",
        ),
        // It is there and understands; some do not like a request without spans.
        Some(Unreached::Refused(error)) if is_about_the_content(error) => {
            AREA.note(TOPIC, format!("{endpoint} answers a request without spans: {error}"), "")
        }
        Some(Unreached::Refused(error)) => AREA.problem(
            TOPIC,
            format!("{endpoint} refuses: {error}"),
            "check its path, --otlp-protocol, --otlp-header and certificates",
        ),
    }
}

/// HTTP 400 and gRPC's INVALID_ARGUMENT.
fn is_about_the_content(error: &str) -> bool {
    error.starts_with("HTTP 400") || error.starts_with(tonic::Code::InvalidArgument.description())
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn answers() {
        let of = |failure: Option<Unreached>| verdict("http://a:4317/", failure.as_ref());
        assert_eq!(of(None).verdict, Verdict::Ok);
        let refused = |error: &str| of(Some(Unreached::Refused(error.into())));
        assert_eq!(refused("HTTP 401 Unauthorized").verdict, Verdict::Problem);
        assert_eq!(refused("HTTP 400 Bad Request: no spans").verdict, Verdict::Note);
        let invalid = format!("{}: empty", tonic::Code::InvalidArgument.description());
        assert_eq!(refused(&invalid).verdict, Verdict::Note);
        let gone = of(Some(Unreached::NoAnswer("connection refused".into())));
        assert_eq!(gone.verdict, Verdict::Problem);
        assert_eq!(gone.what, "http://a:4317/: connection refused");
        assert!(gone.remedy.is_some());
    }
}

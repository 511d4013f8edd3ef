//! Headers for each request: `KEY=VALUE` from flags, comma lists from variables.

use http::{HeaderName, HeaderValue};
use opentelemetry_otlp as otel;
use percent_encoding::percent_decode_str;

use super::ConfigError;
use super::env::Env;

/// The twin of `--otlp-header`; a list, as one variable must hold them all.
const TWIN: &str = "TRACEBEE_OTLP_HEADER";

/// All headers; for a name that is given several times the first source of flag, twin and
/// standard variable wins. Of the standard variables the one of the signal replaces the general
/// one as a whole.
///
/// A wrong flag is an error; a wrong entry of a variable is reported and skipped, as the
/// OpenTelemetry SDKs do.
pub(super) fn resolve(
    flags: &[String],
    env: &Env<'_>,
) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for flag in flags {
        let (name, value) = flag.split_once('=').ok_or_else(|| ConfigError::Header {
            // Without a `=` all of it may be the secret.
            name: String::new(),
            reason: "it has no =".to_owned(),
        })?;
        add(&mut headers, header(name, value)?);
    }
    let standard = [otel::OTEL_EXPORTER_OTLP_TRACES_HEADERS, otel::OTEL_EXPORTER_OTLP_HEADERS];
    let lists = [env.get(TWIN).map(|list| (TWIN, list)), env.first(standard)];
    for (variable, list) in lists.into_iter().flatten() {
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match listed(entry) {
                Ok(header) => add(&mut headers, header),
                Err(error) => tracing::warn!("{variable}: {error}; the entry is skipped"),
            }
        }
    }
    Ok(headers)
}

fn add(headers: &mut Vec<(HeaderName, HeaderValue)>, header: (HeaderName, HeaderValue)) {
    if headers.iter().all(|(name, _)| *name != header.0) {
        headers.push(header);
    }
}

/// An entry of a list: values are url-decoded (specification, protocol/exporter.md
/// "Specifying headers via environment variables").
fn listed(entry: &str) -> Result<(HeaderName, HeaderValue), ConfigError> {
    let (name, value) = entry.split_once('=').ok_or_else(|| ConfigError::Header {
        name: String::new(),
        reason: "an entry has no =".to_owned(),
    })?;
    let value = percent_decode_str(value.trim()).decode_utf8_lossy();
    header(name, &value)
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), ConfigError> {
    let name = name.trim();
    let wrong =
        |reason: &str| ConfigError::Header { name: name.to_owned(), reason: reason.to_owned() };
    let parsed = HeaderName::try_from(name).map_err(|_| wrong("the name is not a header name"))?;
    let mut value =
        HeaderValue::from_str(value).map_err(|_| wrong("the value is not a header value"))?;
    if !value.to_str().is_ok_and(|text| text.is_ascii()) {
        return Err(wrong("the value is not ASCII"));
    }
    if parsed.as_str().ends_with("-bin") {
        return Err(wrong("names that end with -bin are binary in gRPC"));
    }
    value.set_sensitive(true);
    Ok((parsed, value))
}

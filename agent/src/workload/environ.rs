//! What a process was told about its own identity: `OTEL_SERVICE_NAME` and
//! `OTEL_RESOURCE_ATTRIBUTES` in its environment. No other variable is looked at.

use super::name;

/// Most attributes that are taken.
const MAX_ATTRIBUTES: usize = 64;

/// Longest value that is taken, in characters.
const MAX_VALUE: usize = 1024;

/// Bytes of all keys and values of a process that are taken: what Kubernetes operators put there
/// stays below one KiB. Four thousand processes are remembered.
const MAX_BYTES: usize = 4 * 1024;

/// The identity in an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// `OTEL_SERVICE_NAME`, else `service.name` among the attributes.
    pub(super) service: Option<String>,
    /// The other attributes, in their order.
    pub(super) attributes: Vec<(String, String)>,
}

impl Told {
    /// Reads an environment whose variables are separated by zeros. As for any process, the first
    /// of several variables of one name counts, and an empty one is none.
    pub(super) fn of(environment: &str) -> Self {
        let variable = |name: &str| {
            let value = |entry: &'_ str| {
                Some(entry.strip_prefix(name)?.strip_prefix('=')?.trim().to_owned())
            };
            environment.split('\0').find_map(value).filter(|value| !value.is_empty())
        };
        let attributes = variable("OTEL_RESOURCE_ATTRIBUTES");
        let mut attributes = attributes.and_then(|text| list(&text)).unwrap_or_default();
        let mut service = variable("OTEL_SERVICE_NAME").as_deref().and_then(name::clean);
        attributes.retain(|(key, value)| {
            if key != "service.name" {
                return true;
            }
            service = service.take().or_else(|| name::clean(value));
            false
        });
        attributes.truncate(MAX_ATTRIBUTES);
        let mut bytes = 0;
        attributes.retain(|(key, value)| {
            bytes += key.len() + value.len();
            bytes <= MAX_BYTES
        });
        Self { service, attributes }
    }
}

/// `key=value,key=value`, values percent-encoded. One that cannot be read makes all of it invalid
/// (resource SDK specification, "Specifying resource information via an environment variable").
fn list(text: &str) -> Option<Vec<(String, String)>> {
    let mut attributes: Vec<(String, String)> = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=')?;
        let (key, value) = (decoded(key.trim())?, decoded(value.trim())?);
        if key.is_empty() {
            return None;
        }
        let value: String = value.chars().filter(|c| !c.is_control()).take(MAX_VALUE).collect();
        match attributes.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => attributes.push((key, value)),
        }
    }
    Some(attributes)
}

/// Percent-decoding; `None` if the result is no text. A `%` that begins no code stands for itself.
fn decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let digit = |c: u8| (c as char).to_digit(16).map(|digit| digit as u8);
    let mut rest = text.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let [first, tail @ ..] = rest {
        rest = tail;
        if let (b'%', [high, low, tail @ ..]) = (*first, rest)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            bytes.push(high << 4 | low);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(environment: &str) -> (Option<String>, String) {
        let told = Told::of(environment);
        let pairs: Vec<_> = told.attributes.iter().map(|(k, v)| format!("{k}:{v}")).collect();
        (told.service, pairs.join(" "))
    }

    #[test]
    fn environments() {
        for (environment, service, attributes) in [
            ("", None, ""),
            ("PATH=/bin\0OTEL_SERVICE_NAME=shop\0A=b", Some("shop"), ""),
            ("OTEL_SERVICE_NAME= shop \0OTEL_SERVICE_NAME=other", Some("shop"), ""),
            ("OTEL_SERVICE_NAME=\0", None, ""),
            ("XOTEL_SERVICE_NAME=a\0OTEL_SERVICE_NAMES=b", None, ""),
            (
                "OTEL_RESOURCE_ATTRIBUTES=service.name=shop,service.version=1.2",
                Some("shop"),
                "service.version:1.2",
            ),
            (
                "OTEL_RESOURCE_ATTRIBUTES=service.name=a, service.namespace = b ,\0OTEL_SERVICE_NAME=c",
                Some("c"),
                "service.namespace:b",
            ),
            (
                "OTEL_RESOURCE_ATTRIBUTES=team=a%2Cb%20c,x=%41%C3%A9,y=50%",
                None,
                "team:a,b c x:Aé y:50%",
            ),
            ("OTEL_RESOURCE_ATTRIBUTES=a=1,a=2", None, "a:2"),
            ("OTEL_RESOURCE_ATTRIBUTES=a=b=c", None, "a:b=c"),
            // Invalid: all of it.
            ("OTEL_RESOURCE_ATTRIBUTES=a=1,b", None, ""),
            ("OTEL_RESOURCE_ATTRIBUTES==1", None, ""),
            ("OTEL_RESOURCE_ATTRIBUTES=a=%ff", None, ""),
        ] {
            assert_eq!(
                told(environment),
                (service.map(str::to_owned), attributes.into()),
                "{environment}"
            );
        }
    }

    #[test]
    fn it_is_bounded() {
        let many: Vec<_> = (0..500).map(|n| format!("k{n}={}", "v".repeat(3000))).collect();
        let told = Told::of(&format!("OTEL_RESOURCE_ATTRIBUTES={}", many.join(",")));
        assert_eq!(told.attributes.len(), MAX_BYTES / MAX_VALUE - 1);
        assert!(told.attributes.iter().all(|(_, value)| value.len() == MAX_VALUE));
        let short: Vec<_> = (0..500).map(|n| format!("k{n}=v")).collect();
        let told = Told::of(&format!("OTEL_RESOURCE_ATTRIBUTES={}", short.join(",")));
        assert_eq!(told.attributes.len(), MAX_ATTRIBUTES);
    }

    proptest! {
        #[test]
        fn hostile_environments_are_harmless(text in "[a-z=,%0-9\\x00 ]{0,80}|\\PC{0,80}") {
            let _ = Told::of(&format!("OTEL_RESOURCE_ATTRIBUTES={text}\0OTEL_SERVICE_NAME={text}"));
        }
    }
}

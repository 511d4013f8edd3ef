//! Secrets leave URLs before anything else sees them.
//!
//! The conventions name a handful of query keys whose value must not be exported (semantic
//! conventions 1.44, `url.query`); other agents know many more. Both lists hold here, whatever the
//! case, the separators and the percent-encoding of the key. The key stays, its value becomes
//! `REDACTED`. Nothing is allocated where nothing has to go.

use std::borrow::Cow;

/// What stands in the place of a secret.
const REDACTED: &str = "REDACTED";

/// Keys whose values are secret: lower case, without `-`, `_` and `.`, sorted.
const SECRET: &[&str] = &[
    "accesskey",
    "accesskeyid",
    "apikey",
    "assertion",
    "auth",
    "authorization",
    "awsaccesskeyid",
    "bearer",
    "card",
    "cardnumber",
    "clientassertion",
    "clientsecret",
    "credential",
    "credentials",
    "creditcard",
    "cvc",
    "cvv",
    "jsessionid",
    "jwt",
    "otp",
    "pass",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "phpsessid",
    "pin",
    "privatekey",
    "pwd",
    "samlrequest",
    "samlresponse",
    "secret",
    "session",
    "sessionid",
    "sid",
    "sig",
    "signature",
    "ssn",
    "token",
    "totp",
];

/// Endings that make a key secret whatever is before them: `reset_token`, `X-Amz-Credential`.
const SECRET_ENDINGS: &[&str] = &[
    "accesskey",
    "apikey",
    "credential",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "secretkey",
    "sessionid",
    "signature",
    "token",
];

/// Keys that end like secrets and are cursors of paged lists.
const HARMLESS: &[&str] =
    &["continuationtoken", "cursortoken", "nextpagetoken", "nexttoken", "pagetoken", "synctoken"];

/// Longest normalised key that is looked at; a longer one is cut at the front, so that its ending
/// still decides.
const MAX_KEY: usize = 32;

/// A query (without `?`) with its secrets replaced.
///
/// A value reaches to the next `&`. Keys are also looked for behind `;` and `?`, raw or encoded,
/// because one URL is often the value in another: `next=%2Fcallback%3Ftoken%3D1`.
pub(super) fn query(query: &str) -> Cow<'_, str> {
    let mut clean = String::new();
    let mut copied = 0;
    let mut start = 0;
    for pair in query.split('&') {
        if let Some(value) = secret_value(pair) {
            clean.push_str(&query[copied..start + value]);
            clean.push_str(REDACTED);
            copied = start + pair.len();
        }
        start += pair.len() + 1;
    }
    if copied == 0 {
        return Cow::Borrowed(query);
    }
    clean.push_str(&query[copied..]);
    Cow::Owned(clean)
}

/// A path with the values of secret matrix parameters replaced (`/cart;jsessionid=1F2E`).
pub(super) fn path(path: &str) -> Cow<'_, str> {
    if memchr::memchr(b';', path.as_bytes()).is_none() {
        return Cow::Borrowed(path);
    }
    let mut clean = String::with_capacity(path.len());
    for (i, segment) in path.split('/').enumerate() {
        if i > 0 {
            clean.push('/');
        }
        for (j, parameter) in segment.split(';').enumerate() {
            if j > 0 {
                clean.push(';');
            }
            match parameter.split_once('=') {
                Some((key, value)) if j > 0 && !value.is_empty() && is_secret(key) => {
                    clean.push_str(key);
                    clean.push('=');
                    clean.push_str(REDACTED);
                }
                _ => clean.push_str(parameter),
            }
        }
    }
    Cow::Owned(clean)
}

/// The userinfo of an authority (`user:password@host`) and what follows it.
pub(super) fn split_userinfo(authority: &str) -> (Option<&str>, &str) {
    match memchr::memrchr(b'@', authority.as_bytes()) {
        Some(at) => (Some(&authority[..at]), &authority[at + 1..]),
        None => (None, authority),
    }
}

/// Where the first secret value of a pair begins.
fn secret_value(pair: &str) -> Option<usize> {
    let bytes = pair.as_bytes();
    // Nearly all pairs are plain: one key, one value, nothing encoded.
    if memchr::memchr3(b'%', b';', b'?', bytes).is_none() {
        let equals = memchr::memchr(b'=', bytes).filter(|at| at + 1 < bytes.len())?;
        return is_secret_bytes(&bytes[..equals]).then_some(equals + 1);
    }
    let (mut key, mut at) = (Some(0), 0);
    while at < bytes.len() {
        let (byte, width) = decoded(&bytes[at..]);
        match byte {
            b'&' | b';' | b'?' => key = Some(at + width),
            // What follows is a value, up to the next separator.
            b'=' => {
                if let Some(key) = key.take()
                    && at + width < bytes.len()
                    && is_secret_bytes(&bytes[key..at])
                {
                    return Some(at + width);
                }
            }
            _ => {}
        }
        at += width;
    }
    None
}

fn is_secret(key: &str) -> bool {
    is_secret_bytes(key.as_bytes())
}

/// Judges a key; of `user[password]` each part.
fn is_secret_bytes(key: &[u8]) -> bool {
    let mut name = Name::default();
    let mut at = 0;
    while at < key.len() {
        let (byte, width) = decoded(&key[at..]);
        at += width;
        match byte {
            b'[' | b']' => {
                if name.is_secret() {
                    return true;
                }
                name = Name::default();
            }
            b'-' | b'_' | b'.' | b'+' | b' ' => {}
            _ => name.push(byte.to_ascii_lowercase()),
        }
    }
    name.is_secret()
}

/// The last [`MAX_KEY`] characters of a normalised key.
#[derive(Default)]
struct Name {
    bytes: [u8; MAX_KEY],
    length: usize,
}

impl Name {
    fn push(&mut self, byte: u8) {
        if self.length == MAX_KEY {
            self.bytes.copy_within(1.., 0);
            self.length -= 1;
        }
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn is_secret(&self) -> bool {
        let name = &self.bytes[..self.length];
        if SECRET.binary_search_by(|secret| secret.as_bytes().cmp(name)).is_ok() {
            return true;
        }
        SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending.as_bytes()))
            && !HARMLESS.iter().any(|harmless| harmless.as_bytes() == name)
    }
}

/// The next byte with its percent-encoding undone, and how many bytes it takes.
fn decoded(bytes: &[u8]) -> (u8, usize) {
    let digit = |c: u8| (c as char).to_digit(16);
    if let [b'%', high, low, ..] = *bytes
        && let (Some(high), Some(low)) = (digit(high), digit(low))
    {
        return ((high << 4 | low) as u8, 3);
    }
    (bytes[0], 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_list_is_sorted_and_normal() {
        assert!(SECRET.is_sorted());
        assert!(SECRET.iter().all(|key| key.bytes().all(|c| c.is_ascii_lowercase())));
        assert!(SECRET.iter().all(|key| key.len() <= MAX_KEY));
    }

    #[test]
    fn queries() {
        for (raw, clean) in [
            ("", ""),
            ("q=rust&page=2", "q=rust&page=2"),
            // The list of the conventions.
            ("X-Amz-Signature=a&X-Amz-Date=1", "X-Amz-Signature=REDACTED&X-Amz-Date=1"),
            ("X-Amz-Credential=a&x=1", "X-Amz-Credential=REDACTED&x=1"),
            ("X-Amz-Security-Token=a", "X-Amz-Security-Token=REDACTED"),
            ("sv=1&sig=abc%3D", "sv=1&sig=REDACTED"),
            ("X-Goog-Signature=a", "X-Goog-Signature=REDACTED"),
            (
                "AWSAccessKeyId=A&Signature=b&Expires=1",
                "AWSAccessKeyId=REDACTED&Signature=REDACTED&Expires=1",
            ),
            // The wider list, in any spelling.
            ("a=1&token=abc&b=2", "a=1&token=REDACTED&b=2"),
            ("TOKEN=abc", "TOKEN=REDACTED"),
            (
                "access_token=x&accessToken=y&access-token=z",
                "access_token=REDACTED&accessToken=REDACTED&access-token=REDACTED",
            ),
            ("%70assword=x", "%70assword=REDACTED"),
            ("p%61ss%77ord=x&y=1", "p%61ss%77ord=REDACTED&y=1"),
            ("reset_token=x", "reset_token=REDACTED"),
            ("pageToken=x&next_page_token=y", "pageToken=x&next_page_token=y"),
            ("user[password]=x", "user[password]=REDACTED"),
            ("user%5Bpassword%5D=x", "user%5Bpassword%5D=REDACTED"),
            ("token[]=x&token[]=y", "token[]=REDACTED&token[]=REDACTED"),
            ("SAMLResponse=PHNhbWw%2B&RelayState=1", "SAMLResponse=REDACTED&RelayState=1"),
            // Not a secret, or no value.
            ("tokenizer=bpe&passport=1&considered=2", "tokenizer=bpe&passport=1&considered=2"),
            ("token", "token"),
            ("token=&a=1", "token=&a=1"),
            ("=x&&a", "=x&&a"),
            // Values with separators in them.
            ("token=a=b;c?d&e=f", "token=REDACTED&e=f"),
            ("a=1;token=x;b=2&c=3", "a=1;token=REDACTED&c=3"),
            // A URL within a URL.
            ("next=/cb?token=abc", "next=/cb?token=REDACTED"),
            (
                "next=%2Fcb%3Fstate%3D1%26token%3Dabc&z=1",
                "next=%2Fcb%3Fstate%3D1%26token%3DREDACTED&z=1",
            ),
            ("q=what+is+token=x", "q=what+is+token=x"),
            ("%", "%"),
            ("%zz=%4", "%zz=%4"),
            ("пароль=1&token=секрет", "пароль=1&token=REDACTED"),
        ] {
            assert_eq!(query(raw), clean, "{raw}");
        }
        let long = format!("{}password=x", "very_".repeat(40));
        assert!(query(&long).ends_with("password=REDACTED"));
    }

    #[test]
    fn nothing_is_copied_without_need() {
        assert!(matches!(query("q=rust&page=2"), Cow::Borrowed(_)));
        assert!(matches!(path("/a/b"), Cow::Borrowed(_)));
    }

    #[test]
    fn paths() {
        for (raw, clean) in [
            (
                "/cart;jsessionid=1F2E/items;a=1;token=x",
                "/cart;jsessionid=REDACTED/items;a=1;token=REDACTED",
            ),
            ("/a;b/c;d=", "/a;b/c;d="),
            ("/token=x", "/token=x"),
        ] {
            assert_eq!(path(raw), clean);
        }
    }

    #[test]
    fn userinfo() {
        assert_eq!(split_userinfo("a:b@c:1"), (Some("a:b"), "c:1"));
        assert_eq!(split_userinfo("a:b@x@c"), (Some("a:b@x"), "c"));
        assert_eq!(split_userinfo("c:1"), (None, "c:1"));
    }

    proptest! {
        #[test]
        fn a_token_never_survives(
            before in "[a-z=&;?%0-9\\[\\]]{0,40}",
            after in "(&[a-z=&;?%0-9]{0,40})?",
        ) {
            let raw = format!("{before}&token=S3CR3T{after}");
            prop_assert!(!query(&raw).contains("S3CR3T"));
        }

        #[test]
        fn hostile_text_is_harmless(text in "\\PC{0,200}") {
            let _ = query(&text);
            let _ = path(&text);
        }
    }
}

//! Paths become templates: `/movies/42` -> `/movies/{id}`.
//!
//! A segment is judged by its own look and its place alone, never by what was seen before: the
//! same path has the same template at any time, in any process. The rules lean towards folding,
//! because a name too coarse can be told apart by `url.path`, while names without end cannot be
//! put together again.

/// What stands for an identifier.
const ID: &str = "{id}";

/// Most segments of a template; what is deeper becomes `*`.
const MAX_DEPTH: usize = 10;

/// Longest template, in bytes; what is behind becomes `*`.
const MAX_LENGTH: usize = 160;

/// Longest segment that can be a word.
const MAX_WORD: usize = 40;

/// Most words of a segment that is not the slug of a title: `terms-and-conditions` stays,
/// `how-to-train-your-dragon` goes.
const MAX_WORDS: usize = 4;

/// Words that end in digits and are not identifiers.
const NUMBERED: &[&str] = &[
    "2fa", "b2b", "b2c", "base64", "e2e", "ec2", "h2", "h264", "http2", "http3", "i18n", "ipv4",
    "ipv6", "k8s", "l10n", "log4j", "m2m", "md5", "mp3", "mp4", "oauth1", "oauth2", "p2p", "s3",
    "saml2", "sha1", "sha256", "sha512", "utf8", "web3", "x509",
];

/// File types, kept behind a folded file name: `/{id}.css`.
const EXTENSIONS: &[&str] = &[
    "asp", "aspx", "atom", "avif", "bin", "bz2", "cgi", "css", "csv", "deb", "do", "doc", "docx",
    "gif", "git", "gz", "htm", "html", "ico", "iso", "jar", "jpeg", "jpg", "js", "json", "jsp",
    "m3u8", "map", "md", "mjs", "mov", "mp3", "mp4", "mpd", "ogg", "pdf", "php", "png", "proto",
    "rpm", "rss", "svg", "tar", "tgz", "ts", "ttf", "txt", "wasm", "wav", "webm", "webp", "woff",
    "woff2", "xls", "xlsx", "xml", "xz", "yaml", "yml", "zip", "zst",
];

/// Writes the template of a path (no query) to `template`, which it empties first. A path that
/// does not begin with `/` is `*`, the only other form there is.
pub(super) fn fold(path: &str, template: &mut String) {
    template.clear();
    let Some(path) = path.strip_prefix('/') else {
        template.push('*');
        return;
    };
    let mut depth = 0;
    // Empty segments (`//`) are folded away: nobody means them.
    let mut rest = Some(path);
    while let Some(text) = rest {
        let (segment, behind) = cut(text, b'/');
        rest = behind;
        if segment.is_empty() {
            continue;
        }
        template.push('/');
        // Matrix parameters are values, whatever they look like.
        let (segment, _) = cut(segment, b';');
        if depth == MAX_DEPTH || template.len() + segment.len().min(MAX_WORD) > MAX_LENGTH {
            template.push('*');
            return;
        }
        fold_segment(segment, depth == 0, template);
        depth += 1;
    }
    if depth == 0 || path.ends_with('/') {
        template.push('/');
    }
}

/// What is before and behind the first `byte`, which is ASCII. Segments are short: to set up a search
/// that is made for long texts would cost more than it saves.
fn cut(text: &str, byte: u8) -> (&str, Option<&str>) {
    match text.bytes().position(|b| b == byte) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// The first segment of a template and `/*` behind it: what is used when a service has too many.
pub(super) fn coarse(template: &str) -> String {
    let first = template.split('/').nth(1).unwrap_or_default();
    if first.is_empty() { "/*".into() } else { format!("/{first}/*") }
}

fn fold_segment(segment: &str, is_first: bool, template: &mut String) {
    if is_name(segment, is_first) {
        template.push_str(segment);
        return;
    }
    template.push_str(ID);
    // `42.json`, and the custom methods of Google's APIs: `42:cancel`.
    if let Some((name, extension)) = segment.rsplit_once('.')
        && !name.is_empty()
        && EXTENSIONS.binary_search(&extension).is_ok()
    {
        template.push('.');
        template.push_str(extension);
    } else if let Some((_, verb)) = segment.rsplit_once(':')
        && verb.len() <= MAX_WORD
        && verb.bytes().all(|c| c.is_ascii_alphabetic())
        && looks_spoken(verb.as_bytes())
    {
        template.push(':');
        template.push_str(verb);
    }
}

/// What a byte may be part of, as bits: a name, hexadecimal digits, letters alone.
const NAME: u8 = 1;
const HEX: u8 = 2;
const LETTER: u8 = 4;
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < classes.len() {
        let c = byte as u8;
        if c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'~' | b'$') {
            classes[byte] |= NAME;
        }
        if c.is_ascii_hexdigit() {
            classes[byte] |= HEX;
        }
        if c.is_ascii_alphabetic() {
            classes[byte] |= LETTER;
        }
        byte += 1;
    }
    classes
};

/// True if a segment names a kind of thing, false if it may identify one.
fn is_name(segment: &str, is_first: bool) -> bool {
    let bytes = segment.as_bytes();
    if bytes.len() > MAX_WORD {
        return false;
    }
    let class = bytes.iter().fold(!0, |class, byte| class & CLASSES[usize::from(*byte)]);
    if class & NAME == 0 {
        return false;
    }
    // Eight hex digits are more likely an id than a word.
    if bytes.len() >= 8 && class & HEX != 0 {
        return false;
    }
    if class & LETTER != 0 {
        return looks_spoken(bytes);
    }
    let mut words = 0;
    let mut version = false;
    let between = |c: &u8| matches!(c, b'-' | b'_' | b'.' | b'~' | b'$');
    for word in bytes.split(between).filter(|word| !word.is_empty()) {
        words += 1;
        // `v1.2` is a version too.
        if !(is_word(word, is_first) || version && is_number(word)) {
            return false;
        }
        version = is_version(word);
    }
    // `com.acme.shop.v1.Orders` (gRPC, Java) has many words and is one name.
    words <= MAX_WORDS || (words <= 2 * MAX_WORDS && !segment.contains(['-', '_', '~']))
}

fn is_word(word: &[u8], is_first: bool) -> bool {
    if word.iter().all(u8::is_ascii_alphabetic) {
        return looks_spoken(word);
    }
    let numbered = || NUMBERED.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()));
    if is_version(word) || numbered() {
        return true;
    }
    // Routes such as `/page2` are written by hand, and ids rarely come first.
    match word {
        [letters @ .., digit] if is_first && letters.len() >= 3 => {
            digit.is_ascii_digit() && letters.iter().all(u8::is_ascii_lowercase)
        }
        _ => false,
    }
}

/// `v1`, `V2`, `v1beta2`; dots were split off before.
fn is_version(word: &[u8]) -> bool {
    let [b'v' | b'V', rest @ ..] = word else { return false };
    let digits = rest.iter().take_while(|c| c.is_ascii_digit()).count();
    let (major, stage) = rest.split_at(digits);
    if stage.is_empty() {
        return is_number(major);
    }
    let revision = |prefix: &[u8]| stage.strip_prefix(prefix);
    is_number(major)
        && [revision(b"alpha"), revision(b"beta"), revision(b"rc")]
            .into_iter()
            .flatten()
            .any(|revision| revision.is_empty() || is_number(revision))
}

fn is_number(text: &[u8]) -> bool {
    (1..=3).contains(&text.len()) && text.iter().all(u8::is_ascii_digit)
}

/// True if letters could be said aloud; false for random ones (`xKqZbTnPw`).
///
/// Marks of chance: small letters in shorter runs than the words of `getUserById` or
/// `listHTTPRoutes`, hardly any vowels, or consonants in rows that no language has. Random letters
/// without a digit among them are rare, and a few of them may pass: names are bounded anyway.
fn looks_spoken(letters: &[u8]) -> bool {
    if letters.len() < 8 {
        return true;
    }
    let (mut small, mut runs, mut vowels) = (0, 0, 0);
    let (mut row, mut longest_row) = (0, 0);
    let mut was_small = false;
    for letter in letters {
        let is_small = letter.is_ascii_lowercase();
        small += usize::from(is_small);
        runs += usize::from(is_small && !was_small);
        was_small = is_small;
        let is_vowel =
            matches!(letter.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u' | b'y');
        vowels += usize::from(is_vowel);
        row = if is_vowel || !is_small { 0 } else { row + 1 };
        longest_row = longest_row.max(row);
    }
    let chopped = runs >= 3 && small * 10 < runs * 24;
    let few_vowels = letters.len() >= 10 && vowels * 7 < letters.len();
    !(chopped || few_vowels || longest_row >= 7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folded(path: &str) -> String {
        let mut template = "left over".to_owned();
        fold(path, &mut template);
        template
    }

    #[test]
    fn the_lists_are_sorted() {
        assert!(EXTENSIONS.is_sorted());
        assert!(NUMBERED.is_sorted());
    }

    #[test]
    fn names_stay() {
        for path in [
            "/",
            "/movies",
            "/movies/",
            "/api/v1/users/me",
            "/v2/orders",
            "/api/v1.2/x",
            "/apis/apps/v1beta1/namespaces/default/pods",
            "/oauth2/token",
            "/k8s/s3/utf8",
            "/page2",
            "/health",
            "/.well-known/openid-configuration",
            "/en-US/terms-and-conditions",
            "/getUserProfileById",
            "/GetHTTPResponseCode",
            "/GetOAuthAccessTokenByID",
            "/listAllHTTPSEndpoints",
            "/matchSchemaVersions",
            "/WSDLXMLSchema",
            "/com.acme.shop.v1.OrderService/PlaceOrder",
            "/favicon.ico",
            "/static/main.css",
            "/index.html",
            "/wp-admin/admin-ajax.php",
            "/_search",
            "/odata/$metadata",
            "/a/b/c",
            "/internationalization",
            "/strengths",
        ] {
            assert_eq!(folded(path), path);
        }
    }

    #[test]
    fn identifiers_fold() {
        for (path, template) in [
            ("/movies/42", "/movies/{id}"),
            ("/movies/-42", "/movies/{id}"),
            ("/movies/42/", "/movies/{id}/"),
            ("/42", "/{id}"),
            ("/users/7/orders/19.json", "/users/{id}/orders/{id}.json"),
            ("/u/f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "/u/{id}"),
            ("/u/F81D4FAE7DEC11D0A76500A0C91E6BF6", "/u/{id}"),
            ("/u/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/u/{id}"),
            ("/c/deadbeef", "/c/{id}"),
            ("/c/3f2a", "/c/{id}"),
            ("/c/507f1f77bcf86cd799439011", "/c/{id}"),
            ("/t/eyJhbGciOiJIUzI1NiJ9.e30.XmNK3GpH3Ys_7wkYBfq4C3M6goz71I7dTgUkuIa5lyQ", "/t/{id}"),
            ("/t/dGhpcyBpcyBhIHRlc3Q=", "/t/{id}"),
            ("/t/xKqZbTnPwR", "/t/{id}"),
            ("/t/qwrtpsdfghkl", "/t/{id}"),
            ("/users/user1", "/users/{id}"),
            ("/users/user12345", "/users/{id}"),
            ("/users/ann@example.com", "/users/{id}"),
            ("/users/ann%40example.com", "/users/{id}"),
            ("/@ann/posts", "/{id}/posts"),
            ("/log/2024-05-17", "/log/{id}"),
            ("/log/2024-05-17T10:00:00Z", "/log/{id}"),
            ("/archive/2024/05", "/archive/{id}/{id}"),
            ("/search/hello%20world", "/search/{id}"),
            ("/search/привет", "/search/{id}"),
            ("/search/a,b,c", "/search/{id}"),
            ("/blog/how-to-train-your-dragon", "/blog/{id}"),
            ("/static/app.3f2a1b9c.js", "/static/{id}.js"),
            ("/img/IMG_0042.jpeg", "/img/{id}.jpeg"),
            ("/v1/operations/42:cancel", "/v1/operations/{id}:cancel"),
            ("/cart;jsessionid=1F2E/items", "/cart/items"),
            ("/v1234", "/{id}"),
            ("/order-1001", "/{id}"),
            ("//a///7", "/a/{id}"),
            ("///", "/"),
            ("*", "*"),
            ("", "*"),
            ("host:443", "*"),
        ] {
            assert_eq!(folded(path), template, "{path}");
        }
    }

    #[test]
    fn depth_and_length_are_bounded() {
        assert_eq!(folded(&"/a".repeat(10)), "/a".repeat(10));
        assert_eq!(folded(&"/a".repeat(5000)), format!("{}/*", "/a".repeat(10)));
        assert_eq!(folded(&format!("/{}", "a".repeat(5000))), "/{id}");
        let wide = folded(&format!("/{}", "abcdefghijklmnopqrstuvwxyzabcdefghij/".repeat(9)));
        assert!(wide.ends_with("/*") && wide.len() <= MAX_LENGTH + 2, "{wide}");
    }

    #[test]
    fn coarse_templates() {
        assert_eq!(coarse("/movies/{id}/cast"), "/movies/*");
        assert_eq!(coarse("/movies"), "/movies/*");
        assert_eq!(coarse("/"), "/*");
        assert_eq!(coarse("*"), "/*");
    }

    proptest! {
        #[test]
        fn any_path_folds_to_a_bounded_template(path in "(/[a-zA-Z0-9%._~@:;=-]{0,60}){0,20}|\\PC{0,300}") {
            let template = folded(&path);
            prop_assert!(!template.is_empty());
            prop_assert!(template.len() <= MAX_LENGTH + 2 * MAX_WORD);
            prop_assert!(template.bytes().all(|c| c.is_ascii_graphic()));
            prop_assert!(template.split('/').count() <= MAX_DEPTH + 2);
        }

        #[test]
        fn numbers_and_random_ids_never_stay(number: u64, id in "[0-9a-f]{8,40}", uuid: [u8; 16]) {
            let uuid = uuid::Uuid::from_bytes(uuid);
            for id in [number.to_string(), id, uuid.to_string(), uuid.simple().to_string()] {
                prop_assert_eq!(folded(&format!("/a/{id}/b")), "/a/{id}/b");
            }
        }
    }
}

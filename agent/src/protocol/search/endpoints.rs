//! The REST API as a table: which method and path is which endpoint.
//!
//! `endpoints.txt` says where it comes from. What is not in it (a plugin's own API, a path behind a
//! gateway's prefix, a document type of old) is no endpoint.

use std::sync::LazyLock;

use hashbrown::HashMap;

/// The table, a line for each path and endpoint.
static TABLE: &str = include_str!("endpoints.txt");

/// Most segments of a path in the table are 8.
const MAX_SEGMENTS: usize = 10;

/// One endpoint.
#[derive(Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name in the API's specification: `search`, `indices.create`.
    pub name: &'static str,
    /// The attributes that the variable parts of its path go to, `db.operation.parameter.index`, in
    /// their order.
    pub parts: Vec<&'static str>,
    /// What its requests carry.
    pub body: Body,
    methods: Vec<&'static str>,
}

/// What a request carries that is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    None,
    /// A query.
    Query,
    /// Several, in pairs of lines.
    Queries,
    /// Operations.
    Bulk,
}

/// The attribute of the part that names what is asked of.
pub const INDEX: &str = "db.operation.parameter.index";

/// Endpoints of the search type (semantic conventions, `db.query.text`) with one query each.
const QUERIES: &[&str] = &[
    "async_search.submit",
    "count",
    "eql.search",
    "esql.query",
    "search",
    "search_template",
    "sql.query",
    "terms_enum",
];

#[derive(Debug, Default)]
struct Place {
    words: HashMap<&'static str, Place>,
    variable: Option<Box<Place>>,
    endpoints: Vec<Endpoint>,
}

static ROOT: LazyLock<Place> = LazyLock::new(|| read(TABLE));

/// The endpoint that `method` and `path` (without query) are, and the values of its parts.
pub fn find<'a>(method: &str, path: &'a str) -> Option<(&'static Endpoint, Vec<&'a str>)> {
    let path = path.strip_prefix('/')?;
    let mut segments = [""; MAX_SEGMENTS];
    let mut count = 0;
    if !path.is_empty() {
        for segment in path.strip_suffix('/').unwrap_or(path).split('/') {
            *segments.get_mut(count)? = segment;
            count += 1;
        }
    }
    let mut values = Vec::new();
    let endpoint = ROOT.find(method, &segments[..count], true, &mut values)?;
    Some((endpoint, values))
}

impl Place {
    fn find<'a>(
        &'static self,
        method: &str,
        segments: &[&'a str],
        first: bool,
        values: &mut Vec<&'a str>,
    ) -> Option<&'static Endpoint> {
        let Some((segment, rest)) = segments.split_first() else {
            return self.endpoints.iter().find(|endpoint| endpoint.methods.contains(&method));
        };
        // A word is meant where there is one: `_search` is no name.
        if let Some(place) = self.words.get(*segment)
            && let Some(endpoint) = place.find(method, rest, false, values)
        {
            return Some(endpoint);
        }
        let variable = self.variable.as_deref()?;
        if segment.is_empty() || (first && !may_be_index(segment)) {
            return None;
        }
        values.push(segment);
        let found = variable.find(method, rest, false, values);
        if found.is_none() {
            values.pop();
        }
        found
    }
}

/// Names of indices do not begin with `_`, where the API's own words do. Browsers ask anybody for
/// the icon.
fn may_be_index(segment: &str) -> bool {
    (!segment.starts_with('_') || segment == "_all") && segment != "favicon.ico"
}

fn read(table: &'static str) -> Place {
    let mut root = Place::default();
    let mut keys: HashMap<&'static str, &'static str> = HashMap::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split(' ');
        let (Some(methods), Some(path), Some(name)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let mut place = &mut root;
        let mut parts = Vec::new();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            let part = segment.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
            place = match part {
                None => place.words.entry(segment).or_default(),
                Some(part) => {
                    // Once for each name in the table.
                    let key = keys
                        .entry(part)
                        .or_insert_with(|| String::leak(format!("db.operation.parameter.{part}")));
                    parts.push(*key);
                    place.variable.get_or_insert_default()
                }
            };
        }
        let body = match name {
            "bulk" => Body::Bulk,
            "msearch" | "msearch_template" => Body::Queries,
            _ if QUERIES.contains(&name) => Body::Query,
            _ => Body::None,
        };
        place.endpoints.push(Endpoint { name, parts, body, methods: methods.split(',').collect() });
    }
    root
}

//! Span names, a bounded number per service.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::method::Method;
use super::template;

/// Most templates per service, the coarse ones included.
pub(super) const MAX_TEMPLATES: usize = 200;

/// How many of them are kept free for the coarse ones (`/movies/*`) that the rest is folded into,
/// and the last, `/*`.
const COARSE: usize = 40;

/// Most services whose names are remembered. Only a host that starts ever new services gets
/// there; the one that was silent longest is forgotten.
const MAX_SERVICES: usize = 512;

/// Most templates of all services together, at up to 700 bytes each with the names made of them.
/// Beyond, the service that was silent longest is forgotten, as above.
const MAX_ALL: usize = 16 * 1024;

/// A span's name and the template in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// `GET /movies/{id}`.
    pub(super) name: Arc<str>,
    /// `/movies/{id}`.
    pub(super) template: Arc<str>,
}

/// Names of all services. A known template costs a fold into a reused buffer and two look-ups, no
/// allocation.
#[derive(Debug, Default)]
pub(super) struct Names {
    services: HashMap<Arc<str>, Service>,
    bare: [Option<Arc<str>>; Method::COUNT],
    /// Counts calls of [`Names::name`]: the age of services.
    used: u64,
    buffer: String,
    folded: u64,
    /// Of all services together.
    templates: usize,
}

#[derive(Debug, Default)]
struct Service {
    templates: HashMap<Arc<str>, [Option<Arc<str>>; Method::COUNT]>,
    fine: usize,
    /// Names of calls that have no template.
    plain: HashSet<Arc<str>>,
    used: u64,
}

impl Names {
    /// The name of a call of `method` on `path` (no query), at or from `service`.
    pub(super) fn name(&mut self, service: &Arc<str>, method: Method, path: &str) -> Name {
        self.used += 1;
        template::fold(path, &mut self.buffer);
        self.make_room(service);
        let entry = self.services.entry_ref(service).or_default();
        entry.used = self.used;
        let before = entry.templates.len();
        let (name, is_coarse) = entry.name(method, &self.buffer);
        self.templates += entry.templates.len() - before;
        self.folded += u64::from(is_coarse);
        name
    }

    /// The name of a call that says itself what it does (`SELECT users`); `coarse` (`SELECT`) if
    /// its service has too many of those.
    pub(super) fn plain(&mut self, service: &Arc<str>, name: &str, coarse: &str) -> Arc<str> {
        self.used += 1;
        self.make_room(service);
        let entry = self.services.entry_ref(service).or_default();
        entry.used = self.used;
        if let Some(known) = entry.plain.get(name) {
            return Arc::clone(known);
        }
        let fine = entry.plain.len() < MAX_TEMPLATES;
        let name: Arc<str> = if fine { name } else { coarse }.into();
        if fine {
            entry.plain.insert(Arc::clone(&name));
        } else {
            self.folded += 1;
        }
        name
    }

    /// The name of a call that has no path (`CONNECT`, `OPTIONS *`).
    pub(super) fn bare(&mut self, method: Method) -> Arc<str> {
        let name = &mut self.bare[method.index()];
        Arc::clone(name.get_or_insert_with(|| method.in_name().into()))
    }

    /// How many spans got a coarse name because their service has too many templates.
    pub(super) fn folded(&self) -> u64 {
        self.folded
    }

    fn make_room(&mut self, service: &Arc<str>) {
        let full = self.services.len() >= MAX_SERVICES || self.templates > MAX_ALL - MAX_TEMPLATES;
        if full
            && !self.services.contains_key(service)
            && let Some((oldest, _)) = self.services.iter().min_by_key(|(_, s)| s.used)
        {
            let oldest = Arc::clone(oldest);
            let forgotten = self.services.remove(&oldest);
            self.templates -= forgotten.map_or(0, |service| service.templates.len());
        }
    }
}

impl Service {
    /// The name, and true if the template had to be made coarse.
    fn name(&mut self, method: Method, template: &str) -> (Name, bool) {
        if let Some(name) = self.known(method, template) {
            return (name, false);
        }
        // A template that is refused once is refused for ever, because `fine` never shrinks: its
        // name does not change either.
        if self.fine < MAX_TEMPLATES - COARSE {
            self.fine += 1;
            return (self.add(method, template), false);
        }
        let coarse = template::coarse(template);
        let coarse = if self.templates.contains_key(coarse.as_str())
            || self.templates.len() < MAX_TEMPLATES - 1
        {
            coarse
        } else {
            "/*".to_owned()
        };
        let name = self.known(method, &coarse).unwrap_or_else(|| self.add(method, &coarse));
        (name, true)
    }

    fn known(&mut self, method: Method, template: &str) -> Option<Name> {
        let (template, names) = self.templates.get_key_value_mut(template)?;
        let name = names[method.index()].get_or_insert_with(|| spell(method, template));
        Some(Name { name: Arc::clone(name), template: Arc::clone(template) })
    }

    fn add(&mut self, method: Method, template: &str) -> Name {
        let template: Arc<str> = template.into();
        let name = spell(method, &template);
        let mut names = [const { None }; Method::COUNT];
        names[method.index()] = Some(Arc::clone(&name));
        self.templates.insert(Arc::clone(&template), names);
        Name { name, template }
    }
}

fn spell(method: Method, template: &str) -> Arc<str> {
    format!("{} {template}", method.in_name()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> Arc<str> {
        name.into()
    }

    #[test]
    fn names_are_shared() {
        let mut names = Names::default();
        let shop = service("shop");
        let one = names.name(&shop, Method::Get, "/movies/1");
        let two = names.name(&shop, Method::Get, "/movies/2");
        assert_eq!((&*one.name, &*one.template), ("GET /movies/{id}", "/movies/{id}"));
        assert!(Arc::ptr_eq(&one.name, &two.name) && Arc::ptr_eq(&one.template, &two.template));
        let post = names.name(&shop, Method::Post, "/movies/2");
        assert_eq!(&*post.name, "POST /movies/{id}");
        assert!(Arc::ptr_eq(&post.template, &one.template));
        assert_eq!(&*names.name(&shop, Method::Other, "/movies/2").name, "HTTP /movies/{id}");
    }

    /// Distinct letters-only words.
    fn word(n: usize) -> String {
        let letter = |i: usize| char::from(b'a' + (i % 26) as u8);
        format!("e{}a{}o", letter(n / 26), letter(n))
    }

    #[test]
    fn templates_are_bounded_and_never_change() {
        let mut names = Names::default();
        let shop = service("shop");
        let paths: Vec<String> =
            (0..600).map(|n| format!("/{}/{}", word(n % 60), word(n))).collect();
        let first: Vec<_> = paths.iter().map(|path| names.name(&shop, Method::Get, path)).collect();
        let distinct: std::collections::HashSet<_> = first.iter().map(|n| &n.template).collect();
        assert!(distinct.len() <= MAX_TEMPLATES, "{}", distinct.len());
        assert_eq!(&*first[0].template, "/eaaao/eaaao");
        assert!(first.iter().any(|n| n.template.ends_with("o/*")));
        assert!(first.iter().any(|n| &*n.template == "/*"));
        assert_eq!(names.folded(), 600 - (MAX_TEMPLATES - COARSE) as u64);
        for (path, name) in paths.iter().zip(&first).rev() {
            assert_eq!(&names.name(&shop, Method::Get, path), name);
        }
        // Another service has its own.
        assert_eq!(&*names.name(&service("b"), Method::Get, "/x/y").template, "/x/y");
    }

    #[test]
    fn below_the_cap_order_means_nothing() {
        let paths = ["/a/1", "/b", "/a/b", "/a/2/c", "/v1/x"];
        let named = |order: &mut dyn Iterator<Item = &&'static str>| {
            let mut names = Names::default();
            let mut all: Vec<_> = order
                .map(|path| (*path, names.name(&service("s"), Method::Get, path).name))
                .collect();
            all.sort();
            all
        };
        assert_eq!(named(&mut paths.iter()), named(&mut paths.iter().rev()));
    }

    #[test]
    fn plain_names_are_shared_and_bounded() {
        let mut names = Names::default();
        let shop = service("shop");
        let first = names.plain(&shop, "SELECT t", "SELECT");
        assert_eq!(&*first, "SELECT t");
        for n in 0..600 {
            names.plain(&shop, &format!("SELECT t{n}"), "SELECT");
        }
        assert_eq!(&*names.plain(&shop, "SELECT t599", "SELECT"), "SELECT");
        assert!(Arc::ptr_eq(&first, &names.plain(&shop, "SELECT t", "SELECT")));
        assert_eq!(names.folded(), 601 - (MAX_TEMPLATES - 1) as u64 + 1 - 1);
        assert_eq!(names.services[&shop].plain.len(), MAX_TEMPLATES);
    }

    #[test]
    fn templates_of_all_services_are_bounded() {
        let mut names = Names::default();
        for n in 0..2 * MAX_ALL / MAX_TEMPLATES {
            let service = service(&n.to_string());
            for m in 0..300 {
                names.name(&service, Method::Get, &format!("/{}/{}", word(m % 60), word(m)));
            }
        }
        let templates: usize = names.services.values().map(|s| s.templates.len()).sum();
        assert_eq!(templates, names.templates);
        assert!(templates <= MAX_ALL && templates > MAX_ALL / 2, "{templates}");
    }

    #[test]
    fn services_are_bounded() {
        let mut names = Names::default();
        for n in 0..2 * MAX_SERVICES {
            names.name(&service("steady"), Method::Get, "/a");
            names.name(&service(&n.to_string()), Method::Get, "/a");
        }
        assert_eq!(names.services.len(), MAX_SERVICES);
        assert!(names.services.contains_key("steady"));
    }
}

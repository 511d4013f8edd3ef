//! Environment variables by the rules of the specification (configuration/common.md).

use std::time::Duration;

/// A view of the environment: empty is unset.
pub(super) struct Env<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Env<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Env { lookup }
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The first of `names` that is set, with its name.
    pub(super) fn first(&self, names: [&'static str; 2]) -> Option<(&'static str, String)> {
        names.into_iter().find_map(|name| Some((name, self.get(name)?)))
    }

    /// A number; what is none is reported and treated as unset.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        let value = self.get(name)?;
        match value.parse() {
            Ok(n) => Some(n),
            Err(_) => {
                tracing::warn!("{name}={value:?} is not a number: using the default");
                None
            }
        }
    }

    /// A number of milliseconds.
    pub(super) fn millis(&self, name: &str) -> Option<Duration> {
        self.number(name).map(Duration::from_millis)
    }

    /// One of a few words, in any case; another one is reported and treated as unset.
    pub(super) fn choice<T: Copy>(
        &self,
        names: [&'static str; 2],
        choices: &[(&str, T)],
    ) -> Option<T> {
        let (name, value) = self.first(names)?;
        let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(&value));
        if found.is_none() {
            let known: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            tracing::warn!(
                "{name}={value:?} is not supported (only {}): using the default",
                known.join(", ")
            );
        }
        found.map(|(_, choice)| *choice)
    }
}

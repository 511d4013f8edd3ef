//! Ruby programs and their servers.

use super::path::base;
use super::{Command, script};

/// Programs that run the application of the directory they are started in.
const SERVERS: &[&str] =
    &["puma", "unicorn", "rails", "rackup", "thin", "sidekiq", "passenger", "rake", "bundle"];

/// The name of what Ruby or one of its servers runs; `None` where only the directory tells.
pub(super) fn name(command: &Command<'_>, called: &str, words: &[&str]) -> Option<String> {
    if SERVERS.contains(&called) {
        return super::option(words, &["--tag"]).map(str::to_owned);
    }
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "-e" => return None,
            "-I" | "-r" | "-C" | "-E" | "-K" => _ = words.next(),
            word if word.starts_with('-') => {}
            file if SERVERS.contains(&base(file)) => return None,
            file => return Some(script(command, file)),
        }
    }
    None
}

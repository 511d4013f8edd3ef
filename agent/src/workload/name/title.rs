//! Processes that wrote a title over their command line: `nginx: worker process`.

use super::path::{base, directory, family, is_generic};
use super::{Command, here, program, python};

/// The name in a title; `None` if the command line is not one.
pub(super) fn name(command: &Command<'_>) -> Option<String> {
    let [title] = *command.arguments else {
        return prefix(command, command.arguments.first()?, &command.arguments[1..].join(" "));
    };
    if !title.contains(' ') || command.executable == Some(title) {
        return None;
    }
    if let Some(name) = title
        .split_once(": ")
        .and_then(|(before, text)| prefix(command, &format!("{before}:"), text))
    {
        return Some(name);
    }
    let words: Vec<_> = title.split_whitespace().collect();
    match words[..] {
        // `sidekiq 7.1.0 shop [0 of 5 busy]`
        ["sidekiq", _, tag, ..] if !tag.starts_with('[') => Some(tag.to_owned()),
        // `puma 6.4.0 (tcp://0.0.0.0:3000) [shop]`
        ["puma", ..] => Some(bracketed(command, title).unwrap_or_else(|| "puma".to_owned())),
        // `Passenger RubyApp: /srv/shop (production)` and the like were not taken for a prefix.
        _ => program(command, &words, 0),
    }
}

/// `before` is `program:`, `text` what follows it.
fn prefix(command: &Command<'_>, before: &str, text: &str) -> Option<String> {
    let before = before.strip_suffix(':')?.trim_start_matches(['-', '[']);
    if before.starts_with("Passenger ") {
        return directory(text.split(' ').next()?);
    }
    // One word, or it is a sentence.
    if before.is_empty() || before.contains(char::is_whitespace) {
        return None;
    }
    let program = base(before);
    match family(program) {
        "gunicorn" | "puma" => {
            bracketed(command, text).or_else(|| Some(family(program).to_owned()))
        }
        "php-fpm" => {
            let pool = text.strip_prefix("pool ").map(str::trim).filter(|pool| *pool != "www");
            Some(pool.unwrap_or("php-fpm").to_owned())
        }
        "celeryd" | "celery" => {
            let words: Vec<_> = text.split([' ', '(', ')']).collect();
            let app = super::option(&words, &["-A", "--app"]).and_then(python::module_name);
            app.or_else(|| here(command)).or_else(|| Some("celery".to_owned()))
        }
        _ => Some(program.to_owned()),
    }
}

/// What stands in the last brackets, else the directory.
fn bracketed(command: &Command<'_>, text: &str) -> Option<String> {
    let inner = text.rsplit_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inner
        .and_then(|(inner, _)| {
            let told = inner != "gunicorn" && !is_generic(inner) && inner != "current";
            let module = inner.contains([':', '.']).then(|| python::module_name(inner));
            module.unwrap_or_else(|| told.then(|| inner.to_owned()))
        })
        .or_else(|| here(command))
}

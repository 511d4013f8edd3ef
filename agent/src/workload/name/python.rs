//! Python programs and the servers that run Python applications.

use super::path::{base, directory, is_generic, resolve};
use super::{Command, MAX_WRAPPERS, here, option, program, script, shell};

/// Options of the servers below that take no value; of all others the next word is the value.
const SWITCHES: &[&str] = &[
    "-D",
    "-R",
    "-h",
    "-q",
    "-v",
    "--access-log",
    "--capture-output",
    "--check-config",
    "--daemon",
    "--date-header",
    "--debug",
    "--enable-stdio-inheritance",
    "--factory",
    "--help",
    "--initgroups",
    "--log-syslog",
    "--no-access-log",
    "--no-date-header",
    "--no-proxy-headers",
    "--no-reload",
    "--no-sendfile",
    "--no-server-header",
    "--no-server-name",
    "--no-use-colors",
    "--preload",
    "--print-config",
    "--proxy-headers",
    "--proxy-protocol",
    "--reload",
    "--reuse-port",
    "--server-header",
    "--spew",
    "--strip-header-spaces",
    "--use-colors",
    "--version",
];

/// Modules that run another program: what they run is looked for among their arguments.
const RUNNERS: &[&str] =
    &["cProfile", "coverage", "debugpy", "memray", "pdb", "profile", "trace", "viztracer"];

/// The name of what a Python interpreter runs.
pub(super) fn interpreter(command: &Command<'_>, words: &[&str], depth: u8) -> Option<String> {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        at += 1;
        let Some(flags) = word.strip_prefix('-').filter(|flags| !flags.is_empty()) else {
            // A lone `-` is a program from standard input.
            return if *word == "-" { None } else { file(command, word, &words[at..], depth) };
        };
        if flags.starts_with('-') {
            at += usize::from(flags == "-check-hash-based-pycs");
            continue;
        }
        // Letters may be joined (`-um shop`), and a value may follow its letter (`-mshop`).
        let Some((place, letter)) = flags.char_indices().find(|(_, c)| "cmWXQ".contains(*c)) else {
            continue;
        };
        let joined = Some(&flags[place + 1..]).filter(|value| !value.is_empty());
        if joined.is_none() {
            at += 1;
        }
        let value = joined.or_else(|| words.get(at - 1).copied());
        match letter {
            'c' => return inline(command, value?),
            'm' => return module(command, value?, words.get(at..).unwrap_or_default(), depth),
            _ => {}
        }
    }
    None
}

/// The name of what a Python server runs; `None` if `called` is no such server.
pub(super) fn server(
    command: &Command<'_>,
    called: &str,
    words: &[&str],
    depth: u8,
) -> Option<String> {
    let mut place = command.directory.map(str::to_owned);
    let found = match called {
        "uvicorn" | "hypercorn" | "daphne" | "granian" | "gunicorn" | "waitress-serve"
        | "waitress" => {
            if let Some(to) = option(words, &["--app-dir", "--chdir", "--working-dir"]) {
                place = Some(resolve(command.directory, to));
            }
            let given = match called {
                "gunicorn" => option(words, &["-n", "--name"]),
                _ => None,
            };
            given.map(str::to_owned).or_else(|| application(words))
        }
        _ if called.starts_with("uwsgi") => {
            if let Some(to) = option(words, &["--chdir"]) {
                place = Some(resolve(command.directory, to));
            }
            option(words, &["-w", "--module", "--wsgi"])
                .and_then(module_name)
                .or_else(|| Some(script(command, option(words, &["--wsgi-file", "--file"])?)))
        }
        "celery" => option(words, &["-A", "--app"]).and_then(module_name),
        "flask" => option(words, &["-A", "--app"]).and_then(flask_app),
        "fastapi" | "streamlit" => after(words, &["run", "dev"]).map(|path| script(command, path)),
        "dramatiq" | "arq" => application(words),
        "rq" | "huey_consumer" | "django-admin" | "manage.py" | "django" => None,
        _ if depth < MAX_WRAPPERS => {
            let wrapped = shell::unwrap(called, words)?;
            return program(command, &wrapped, depth + 1);
        }
        _ => return None,
    };
    found
        .or_else(|| directory(place.as_deref()?))
        .or_else(|| here(command))
        .or_else(|| Some(called.to_owned()))
}

/// The name that a module path gives, without the parts that every application has:
/// `shop.wsgi:application` -> `shop`, `src.orders.main` -> `orders`, `main:app` -> none.
pub(super) fn module_name(path: &str) -> Option<String> {
    let path = path.split([':', '(']).next().unwrap_or_default();
    let says_nothing = |part: &&str| is_generic(part) || ["celery", "config", "src"].contains(part);
    let mut parts: Vec<_> = path.split('.').collect();
    if !parts.iter().all(|part| is_identifier(part)) {
        return None;
    }
    while parts.last().is_some_and(says_nothing) {
        parts.pop();
    }
    let first = parts.iter().position(|part| !says_nothing(part))?;
    Some(parts[first..].join("."))
}

/// `python script.py`, `python /venv/bin/uvicorn main:app`, `python manage.py runserver`.
fn file(command: &Command<'_>, path: &str, rest: &[&str], depth: u8) -> Option<String> {
    let called = base(path);
    if called != "manage.py"
        && let Some(name) = server(command, called, rest, depth)
    {
        return Some(name);
    }
    Some(script(command, path))
}

fn module(command: &Command<'_>, name: &str, rest: &[&str], depth: u8) -> Option<String> {
    if RUNNERS.contains(&name) {
        if let Some(at) = rest.iter().position(|word| *word == "-m") {
            return module(command, rest.get(at + 1)?, &rest[at + 2..], depth);
        }
        let at = rest.iter().position(|word| word.ends_with(".py"))?;
        return file(command, rest[at], &rest[at + 1..], depth);
    }
    if let Some(name) = server(command, name, rest, depth) {
        return Some(name);
    }
    // `http.server` is the one module that is known by its second half.
    if name == "http.server" { Some(name.to_owned()) } else { module_name(name) }
}

/// `python -c`. Workers that `multiprocessing` spawns are their parent's.
fn inline(command: &Command<'_>, code: &str) -> Option<String> {
    if code.starts_with("from multiprocessing") { command.look.parent() } else { None }
}

/// The application among a server's arguments.
fn application(words: &[&str]) -> Option<String> {
    let mut at = 0;
    let mut first = None;
    while let Some(word) = words.get(at) {
        at += 1;
        if word.starts_with('-') {
            at += usize::from(!word.contains('=') && !SWITCHES.contains(word));
        } else if is_application(word) {
            first = Some(*word);
            break;
        }
    }
    // An unknown switch may have swallowed it: then the one word that looks like it.
    let first = first.or_else(|| {
        words.iter().copied().find(|word| word.contains(':') && is_application(word))
    })?;
    module_name(first)
}

/// `shop`, `shop.wsgi`, `shop.wsgi:app`, `shop:create_app()`.
fn is_application(word: &str) -> bool {
    let (path, object) = word.split_once(':').unwrap_or((word, "app"));
    path.split('.').all(is_identifier)
        && object.split('(').next().unwrap_or_default().split('.').all(is_identifier)
}

fn is_identifier(part: &str) -> bool {
    part.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && part.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// `--app shop`, `--app shop:create_app`, `--app src/shop.py`.
fn flask_app(app: &str) -> Option<String> {
    let path = app.split(':').next().unwrap_or(app);
    module_name(base(path).strip_suffix(".py").unwrap_or(base(path)))
}

/// The first word behind one of `commands` that is no option.
fn after<'a>(words: &[&'a str], commands: &[&str]) -> Option<&'a str> {
    let at = words.iter().position(|word| commands.contains(word))?;
    let ends = |word: &&&str| word.ends_with(".py") || !word.contains(['.', ':', '-']);
    let mut rest = words[at + 1..].iter();
    rest.find(|word| !word.starts_with('-') && ends(word) && word.parse::<u32>().is_err()).copied()
}

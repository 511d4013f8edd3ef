//! `service.name` from what a process says on its command line.
//!
//! The best name is what people call the program: the application module of `uvicorn shop:app`, the
//! jar of `java -jar shop.jar`, the package of `node server.js`. Where that is a word that every
//! program uses (`main`, `app`, `server`), it is the directory that it lives or runs in. The name
//! of an interpreter is the last resort.
//!
//! Pure: what has to be looked up elsewhere is asked of [`Look`].

use self::path::{base, directory};

mod java;
mod node;
mod path;
mod python;
mod ruby;
mod shell;
mod title;

/// Longest name, in characters.
const MAX_NAME: usize = 100;

/// How many wrappers (`sh -c`, `env`, `timeout`, ...) are unwrapped.
const MAX_WRAPPERS: u8 = 5;

/// What a running program is known by.
#[derive(Clone, Copy)]
pub(super) struct Command<'a> {
    /// The short name that the kernel keeps.
    pub(super) comm: &'a str,
    /// The command line; empty for kernel threads and zombies.
    pub(super) arguments: &'a [&'a str],
    /// Working directory.
    pub(super) directory: Option<&'a str>,
    /// Path of the executable.
    pub(super) executable: Option<&'a str>,
    /// For what is not in the command line.
    pub(super) look: &'a dyn Look,
}

/// Answers that cost a file read, asked only when needed.
pub(super) trait Look {
    /// `name` in `package.json` of this directory.
    fn package(&self, directory: &str) -> Option<String>;
    /// The name of the parent process.
    fn parent(&self) -> Option<String>;
}

/// The best name there is.
pub(super) fn name(command: &Command<'_>) -> String {
    let words = command.arguments;
    let found = title::name(command)
        .or_else(|| if words.is_empty() { None } else { program(command, words, 0) })
        .or_else(|| executable(command))
        .unwrap_or_else(|| command.comm.to_owned());
    clean(&found).unwrap_or_else(|| "unknown_service".to_owned())
}

/// A name without control characters and of bounded length; `None` if nothing is left.
pub(super) fn clean(name: &str) -> Option<String> {
    let name = name.trim().chars().filter(|c| !c.is_control()).take(MAX_NAME).collect::<String>();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// The last part of a path.
pub(super) fn base_of(path: &str) -> &str {
    base(path)
}

/// `process.runtime.name` of an executable, where its name tells.
pub(crate) fn runtime(executable: &str) -> Option<&'static str> {
    match path::family(executable) {
        "python" => Some("cpython"),
        "pypy" => Some("pypy"),
        "node" | "nodejs" => Some("nodejs"),
        "bun" => Some("bun"),
        "deno" => Some("deno"),
        "ruby" => Some("ruby"),
        "php" | "php-fpm" | "php-cgi" => Some("php"),
        "dotnet" => Some("dotnet"),
        "beam.smp" => Some("BEAM"),
        _ => None,
    }
}

/// The name of the program that `words` start.
fn program(command: &Command<'_>, words: &[&str], depth: u8) -> Option<String> {
    let (first, rest) = words.split_first()?;
    let called = base(first.trim_start_matches('-'));
    if depth < MAX_WRAPPERS
        && let Some(wrapped) = shell::unwrap(called, rest)
    {
        return program(command, &wrapped, depth + 1);
    }
    if let Some(name) = interpreted(command, called, rest, depth) {
        return Some(name);
    }
    // `exec -a` and some supervisors call an interpreter by another name.
    if depth == 0
        && !rest.is_empty()
        && let Some(executable) = command.executable
        && let Some(name) = interpreted(command, base(executable), rest, depth)
    {
        return Some(name);
    }
    if called.is_empty() {
        return None;
    }
    // A program of its own. `./server` says nothing, `/srv/shop/server` does.
    if path::is_generic(called) {
        let at = command.executable.filter(|_| depth == 0).unwrap_or(first);
        let place = path::resolve(command.directory, at);
        return directory(path::parent(&place))
            .or_else(|| here(command))
            .or_else(|| Some(called.to_owned()));
    }
    Some(called.to_owned())
}

/// The name of what a known interpreter or launcher runs; `None` if `called` is none of them.
fn interpreted(command: &Command<'_>, called: &str, rest: &[&str], depth: u8) -> Option<String> {
    let family = path::family(called);
    let found = match family {
        "python" | "pypy" | "pythonw" => python::interpreter(command, rest, depth),
        "node" | "nodejs" | "bun" | "deno" | "npm" | "npx" | "yarn" | "pnpm" | "tsx"
        | "ts-node" | "nodemon" | "pm2" | "next" => node::name(command, family, rest),
        "java" => java::name(command, rest),
        "ruby" | "jruby" | "puma" | "unicorn" | "rails" | "rackup" | "thin" | "sidekiq"
        | "passenger" => ruby::name(command, family, rest),
        "sh" | "bash" | "dash" | "ash" | "zsh" | "ksh" | "fish" => {
            shell::interpreter(command, rest, depth)
        }
        "dotnet" | "mono" => dotnet(command, rest),
        "php" | "php-cgi" => php(command, rest),
        "beam.smp" | "erl" | "elixir" => beam(command, rest),
        "perl" | "lua" | "luajit" | "Rscript" | "julia" | "tclsh" | "raku" | "groovy" => {
            first_script(command, rest)
        }
        // `php-fpm8.2`
        "php-fpm" => Some("php-fpm".to_owned()),
        // What uvicorn and its like run, when they are programs of their own.
        _ => return python::server(command, called, rest, depth),
    };
    // An interpreter that gives nothing away: where it runs, else what it is.
    found.or_else(|| here(command)).or_else(|| Some(family.to_owned()))
}

/// The directory that the process runs in, if its name says something.
fn here(command: &Command<'_>) -> Option<String> {
    directory(command.directory?)
}

/// The name of a script: its stem, else its directory, else where it is run.
fn script(command: &Command<'_>, file: &str) -> String {
    let stem = path::stem(file);
    // `/dev/fd/3`: a script that came through a pipe.
    if file.starts_with("/dev/") || file.starts_with("/proc/") {
        return here(command).unwrap_or_else(|| command.comm.to_owned());
    }
    if !path::is_generic(stem) {
        return stem.to_owned();
    }
    let place = path::resolve(command.directory, file);
    directory(path::parent(&place)).or_else(|| here(command)).unwrap_or_else(|| stem.to_owned())
}

fn executable(command: &Command<'_>) -> Option<String> {
    let name = base(command.executable?);
    (!name.is_empty()).then(|| name.to_owned())
}

/// The first argument that is no option, as a script.
fn first_script(command: &Command<'_>, rest: &[&str]) -> Option<String> {
    let inline = rest.iter().take_while(|word| word.starts_with('-')).any(|word| *word == "-e");
    let file = rest.iter().find(|word| !word.starts_with('-')).filter(|_| !inline)?;
    Some(script(command, file))
}

/// `dotnet Shop.dll`, `dotnet exec --runtimeconfig x Shop.dll`, `dotnet run --project src/Shop`.
fn dotnet(command: &Command<'_>, rest: &[&str]) -> Option<String> {
    let ends = |word: &&&str| word.ends_with(".dll") || word.ends_with(".exe");
    if let Some(assembly) = rest.iter().find(ends) {
        return Some(script(command, assembly));
    }
    let project = option(rest, &["--project"])?;
    let name = project.strip_suffix(".csproj").unwrap_or(project);
    Some(script(command, name.trim_end_matches('/')))
}

/// `php artisan serve` and `php -S host:port` are named by their directory.
fn php(command: &Command<'_>, rest: &[&str]) -> Option<String> {
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        match *word {
            "-S" | "-r" => return None,
            "-c" | "-d" | "-t" | "-z" => _ = words.next(),
            "-f" => {}
            "artisan" | "bin/console" | "console" => return None,
            flag if flag.starts_with('-') => {}
            file => return Some(script(command, file)),
        }
    }
    None
}

/// The node name of an Erlang or Elixir system, else its release.
fn beam(_: &Command<'_>, rest: &[&str]) -> Option<String> {
    let node = option(rest, &["-sname", "-name", "--sname", "--name"])?;
    let name = node.split('@').next().unwrap_or(node);
    (!name.is_empty()).then(|| name.to_owned())
}

/// The value of the first of these options, as `--option value` or `--option=value`.
fn option<'a>(words: &[&'a str], names: &[&str]) -> Option<&'a str> {
    words.iter().enumerate().find_map(|(at, word)| {
        if names.contains(word) {
            return words.get(at + 1).copied();
        }
        let (name, value) = word.split_once('=')?;
        names.contains(&name).then_some(value)
    })
}

#[cfg(test)]
mod tests;

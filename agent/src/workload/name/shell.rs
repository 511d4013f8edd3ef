//! Shells, and programs that only start another one.

use super::{Command, MAX_WRAPPERS, program, script};

/// A program that runs the rest of its command line.
struct Wrapper {
    name: &'static str,
    /// Its options whose value is the next word.
    with_value: &'static [&'static str],
    /// Words of its own before the command.
    own: usize,
}

const fn wrapper(name: &'static str, with_value: &'static [&'static str], own: usize) -> Wrapper {
    Wrapper { name, with_value, own }
}

const WRAPPERS: &[Wrapper] = &[
    wrapper("bundle", &[], 1),
    wrapper("busybox", &[], 0),
    wrapper("catatonit", &[], 0),
    wrapper("chpst", &["-u", "-U", "-e", "-/", "-n", "-m", "-d", "-o", "-p", "-f", "-c"], 0),
    wrapper("chrt", &[], 1),
    wrapper("ddtrace-run", &[], 0),
    wrapper("docker-init", &[], 0),
    wrapper("dumb-init", &["-r", "--rewrite"], 0),
    wrapper("env", &["-u", "-C", "--unset", "--chdir"], 0),
    wrapper("gosu", &[], 1),
    wrapper("ionice", &["-c", "-n"], 0),
    wrapper("newrelic-admin", &[], 1),
    wrapper("nice", &["-n"], 0),
    wrapper("nohup", &[], 0),
    wrapper("numactl", &["-C", "-N", "-m"], 0),
    wrapper("opentelemetry-instrument", &["--traces_exporter", "--metrics_exporter"], 0),
    wrapper("pdm", &[], 1),
    wrapper("pipenv", &[], 1),
    wrapper("poetry", &[], 1),
    wrapper("setpriv", &["--reuid", "--regid"], 0),
    wrapper("setsid", &[], 0),
    wrapper("stdbuf", &["-i", "-o", "-e"], 0),
    wrapper("strace", &["-o", "-e", "-s", "-p"], 0),
    wrapper("su-exec", &[], 1),
    wrapper("sudo", &["-u", "-g", "-h", "-p", "-C", "-D"], 0),
    wrapper("taskset", &[], 1),
    wrapper("time", &["-f", "-o"], 0),
    wrapper("timeout", &["-s", "-k"], 1),
    wrapper("tini", &["-e", "-p"], 0),
    wrapper("uv", &["--with", "--project", "--directory", "-p", "--python"], 1),
];

/// The command that a wrapper runs; `None` if `called` is none or nothing is left.
pub(super) fn unwrap<'a>(called: &str, words: &[&'a str]) -> Option<Vec<&'a str>> {
    let loader = Wrapper {
        name: "",
        with_value: &["--library-path", "--preload", "--argv0", "-L", "-cpu", "-E"],
        own: 0,
    };
    let wrapper = match WRAPPERS.iter().find(|wrapper| wrapper.name == called) {
        Some(wrapper) => wrapper,
        None if called.starts_with("ld-linux") || called.starts_with("qemu-") => &loader,
        None => return None,
    };
    let mut own = wrapper.own;
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if wrapper.with_value.contains(word) {
            at += 1;
        } else if word.starts_with('-') || is_assignment(word) {
        } else if own > 0 {
            own -= 1;
        } else {
            return Some(words[at..].to_vec());
        }
        at += 1;
    }
    None
}

/// `sh -c 'command'` is the command; a script has its name.
pub(super) fn interpreter(command: &Command<'_>, words: &[&str], depth: u8) -> Option<String> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "-o" | "+o" | "-O" | "--rcfile" | "--init-file" => _ = words.next(),
            word if word.starts_with("--") => {}
            word if word.starts_with('-') && word.contains('c') => {
                let code = words.next()?;
                return (depth < MAX_WRAPPERS).then(|| line(command, code, depth + 1))?;
            }
            word if word.starts_with(['-', '+']) => {}
            file => return Some(script(command, file)),
        }
    }
    None
}

/// The last command of a simple line: `cd /srv/shop && PORT=1 exec ./shop`.
fn line(command: &Command<'_>, code: &str, depth: u8) -> Option<String> {
    let last = code
        .split([';', '\n', '&', '|'])
        .map(str::trim)
        .rfind(|part| !part.is_empty() && !part.starts_with('#'))?;
    let words: Vec<_> = last
        .split_whitespace()
        .map(|word| word.trim_matches(['"', '\'']))
        .skip_while(|word| is_assignment(word) || *word == "exec")
        .collect();
    let first = words.first()?;
    // Words of the shell's own language name nothing.
    let own = ["while", "for", "if", "done", "fi", "read", "sleep", "wait", "cd", "echo", "exit"];
    if own.contains(first) { None } else { program(command, &words, depth) }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
    })
}

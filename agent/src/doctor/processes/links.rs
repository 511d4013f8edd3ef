//! How the calls of a process are linked to others.

use std::fs;
use std::path::Path;

use serde::Serialize;

use super::runtime::Runtime;
use crate::runtime::{Unknown, go, proxy, python};

/// The rules that hold for a process, each as `tracebee.link` calls it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(in crate::doctor) struct Links {
    /// Its server spans to the client spans of their callers.
    pub(in crate::doctor) callers: &'static [&'static str],
    /// Its client spans to the server span that they are part of. Where none of the rules is certain
    /// they begin their own traces.
    pub(in crate::doctor) inside: &'static [&'static str],
    /// Why there is no better rule, where there is one for others of its runtime.
    pub(in crate::doctor) why: Option<String>,
}

/// What holds for a process.
pub(super) fn of(proc: &Path, pid: u32, runtime: &Runtime) -> Links {
    let callers = &["seq", "header"];
    let (context, why) = follows(proc, pid, runtime.name);
    let inside: &[&str] = match (context, may_serve_in_threads(proc, pid, runtime.name)) {
        (true, true) => &["context", "thread", "sole"],
        (true, false) => &["context", "sole"],
        (false, true) => &["thread", "sole"],
        (false, false) => &["sole"],
    };
    Links { callers, inside, why }
}

/// Whether its unit of work can be followed, or why that of others of its kind can, and its own not.
fn follows(proc: &Path, pid: u32, runtime: &str) -> (bool, Option<String>) {
    fn tell<T>(found: Result<Option<T>, impl ToString>) -> (bool, Option<String>) {
        match found {
            Ok(found) => (found.is_some(), None),
            Err(error) => (false, Some(error.to_string())),
        }
    }
    if runtime == "cpython" {
        let found = python::find(proc, pid);
        if let Ok(Some(python::Found { lacks: Some(lacks), .. })) = &found {
            return (true, Some(lacks.clone()));
        }
        return tell(found);
    }
    if runtime == "php" && is_fpm(proc, pid) {
        return (false, Some("it is asked by FastCGI, which is not read".to_owned()));
    }
    match proxy::find(proc, pid) {
        // Whether it is one is not known.
        Ok(None) | Err(Unknown::Io(_)) => tell(goroutines(proc, pid)),
        found => tell(found),
    }
}

/// True of PHP's process manager and its workers, `php-fpm8.2`.
fn is_fpm(proc: &Path, pid: u32) -> bool {
    let executable = fs::read_link(proc.join(format!("{pid}/exe"))).unwrap_or_default();
    let name = executable.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b"php-fpm")
}

/// What runs of Go in a process, if its goroutines can be followed.
fn goroutines(proc: &Path, pid: u32) -> Result<Option<()>, Unknown> {
    match go::process(proc, pid) {
        Ok(Some(process)) => go::image(&process.file).map(|_| Some(())),
        Ok(None) | Err(Unknown::Io(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the threads of a process may yet prove that they serve one request at a time each, which
/// only a run sees.
fn may_serve_in_threads(proc: &Path, pid: u32, runtime: &str) -> bool {
    // What these do changes threads, or many requests share one.
    const OTHERS: [&str; 7] = ["nodejs", "go", "nginx", "haproxy", "envoy", "traefik", "caddy"];
    let tasks = fs::read_dir(proc.join(format!("{pid}/task")));
    !OTHERS.contains(&runtime) && tasks.is_ok_and(|tasks| tasks.take(2).count() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(runtime: &'static str, threads: u32) -> &'static [&'static str] {
        let proc = tempfile::tempdir().expect("a directory");
        for tid in 0..threads {
            let task = proc.path().join(format!("7/task/{tid}"));
            fs::create_dir_all(task).expect("a directory");
        }
        let runtime = Runtime { name: runtime, version: None, stripped: None, tls: None };
        of(proc.path(), 7, &runtime).inside
    }

    #[test]
    fn a_proxy_knows_whose_requests_it_passes_on() {
        let proc = tempfile::tempdir().expect("a directory");
        let place = proc.path().join("7");
        fs::create_dir_all(place.join("task/7")).expect("a directory");
        std::os::unix::fs::symlink("/usr/sbin/nginx", place.join("exe")).expect("a link");
        let runtime = Runtime { name: "nginx", version: None, stripped: None, tls: None };
        assert_eq!(of(proc.path(), 7, &runtime).inside, ["context", "sole"]);
    }

    #[test]
    fn php_says_by_what_it_is_asked() {
        let proc = tempfile::tempdir().expect("a directory");
        for (pid, program) in [(7, "/usr/sbin/php-fpm8.2"), (8, "/usr/bin/php8.2")] {
            let place = proc.path().join(pid.to_string());
            fs::create_dir_all(&place).expect("a directory");
            std::os::unix::fs::symlink(program, place.join("exe")).expect("a link");
        }
        let runtime = Runtime { name: "php", version: None, stripped: None, tls: None };
        let why = |pid| of(proc.path(), pid, &runtime).why;
        assert!(why(7).is_some_and(|why| why.contains("FastCGI")));
        assert_eq!(why(8), None);
    }

    #[test]
    fn threads_say_something_where_there_are_several_that_wait() {
        assert_eq!(inside("java", 2), ["thread", "sole"]);
        assert_eq!(inside("native", 1), ["sole"]);
        assert_eq!(inside("nodejs", 11), ["sole"]);
        assert_eq!(inside("native", 0), ["sole"], "a process that is gone");
    }
}

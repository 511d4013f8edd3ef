//! What the parts of a path say about the program in them. All of it is text: nothing is opened.

/// Stems and words that every other program uses, in lower case.
const GENERIC: &[&str] = &[
    "__init__",
    "__main__",
    "a.out",
    "app",
    "application",
    "asgi",
    "boot",
    "bootstrap",
    "docker-entrypoint",
    "entrypoint",
    "exe",
    "index",
    "init",
    "launch",
    "launcher",
    "main",
    "manage",
    "program",
    "run",
    "server",
    "start",
    "startup",
    "wsgi",
    "www",
];

/// Directories that say where programs lie, not which one it is, in lower case.
const PLACES: &[&str] = &[
    "app",
    "application",
    "apps",
    "backend",
    "base",
    "bin",
    "build",
    "classes",
    "cmd",
    "code",
    "config",
    "current",
    "data",
    "debug",
    "deploy",
    "dist",
    "dist-packages",
    "etc",
    "exe",
    "home",
    "html",
    "htdocs",
    "lib",
    "lib64",
    "libexec",
    "local",
    "main",
    "mnt",
    "node_modules",
    "opt",
    "out",
    "private",
    "proc",
    "project",
    "projects",
    "public",
    "release",
    "releases",
    "root",
    "run",
    "sbin",
    "scripts",
    "server",
    "share",
    "site-packages",
    "source",
    "src",
    "srv",
    "system",
    "target",
    "test",
    "tests",
    "tmp",
    "usr",
    "users",
    "var",
    "venv",
    "virtualenv",
    "web",
    "work",
    "workdir",
    "workspace",
    "www",
];

/// Endings of files that interpreters run.
const SCRIPTS: &[&str] = &[
    "bash", "bat", "cjs", "cts", "dll", "exe", "ex", "exs", "groovy", "jar", "java", "jl", "js",
    "jsx", "kts", "lua", "mjs", "mts", "php", "pl", "psgi", "py", "pyc", "pyz", "r", "rb", "ru",
    "sh", "tcl", "ts", "tsx", "war",
];

/// True for words that do not tell one program from another, as no number does.
pub(super) fn is_generic(word: &str) -> bool {
    GENERIC.iter().any(|generic| word.eq_ignore_ascii_case(generic))
        || word.bytes().all(|c| c.is_ascii_digit())
}

/// The last part of a path.
pub(super) fn base(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

/// A path without its last part.
pub(super) fn parent(path: &str) -> &str {
    match path.trim_end_matches('/').rsplit_once('/') {
        Some(("", _)) => "/",
        Some((parent, _)) => parent,
        None => "",
    }
}

/// The last part of a path without the ending of a script.
pub(super) fn stem(path: &str) -> &str {
    let name = base(path);
    match name.rsplit_once('.') {
        Some((stem, ending))
            if !stem.is_empty() && SCRIPTS.iter().any(|s| ending.eq_ignore_ascii_case(s)) =>
        {
            stem
        }
        _ => name,
    }
}

/// An interpreter without its version: `python3.11` -> `python`, `python3.13t` -> `python`.
pub(super) fn family(program: &str) -> &str {
    let program = program.strip_suffix(".exe").unwrap_or(program);
    let cut = |name: &'_ str| {
        let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        bare.trim_end_matches('-').len()
    };
    let threaded = program.strip_suffix('t').filter(|p| p.ends_with(|c: char| c.is_ascii_digit()));
    let length = cut(threaded.unwrap_or(program));
    if length == 0 { program } else { &program[..length] }
}

/// `path` seen from `directory`, without `.` and `..`.
pub(super) fn resolve(directory: Option<&str>, path: &str) -> String {
    let start = if path.starts_with('/') { "" } else { directory.unwrap_or_default() };
    let mut parts: Vec<&str> = Vec::new();
    for part in start.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The innermost directory of a path whose name says something.
pub(super) fn directory(path: &str) -> Option<String> {
    let mut parts = path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>();
    // A home directory is named after a person.
    if let ["home" | "Users", _] = parts[..] {
        return None;
    }
    if let ["home" | "Users", _, ..] = parts[..] {
        parts.drain(..2);
    }
    parts.into_iter().rev().find(|part| is_telling(part)).map(str::to_owned)
}

fn is_telling(part: &str) -> bool {
    let lower = part.to_ascii_lowercase();
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    // `tmpx3k_9ab`, `tmp.Xy12Za`, `go-build1234`, a commit, a date, `python3.11`, `.venv`
    let temporary = lower.strip_prefix("tmp").is_some_and(|rest| rest.len() >= 6)
        || lower.starts_with("go-build")
        || lower.starts_with('.')
        || (lower.starts_with("python") && digits > 0);
    let chance = digits * 2 > part.len()
        || (part.len() >= 7 && digits > 0 && part.bytes().all(|c| c.is_ascii_hexdigit()));
    !PLACES.contains(&lower.as_str()) && !temporary && !chance
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families() {
        for (program, expected) in [
            ("python3.11", "python"),
            ("python", "python"),
            ("python3.13t", "python"),
            ("pypy3", "pypy"),
            ("ruby3.1", "ruby"),
            ("node20", "node"),
            ("node-20", "node"),
            ("php8.2", "php"),
            ("php-fpm8.2", "php-fpm"),
            ("dotnet", "dotnet"),
            ("dotnet.exe", "dotnet"),
            ("git", "git"),
            ("7", "7"),
            ("", ""),
        ] {
            assert_eq!(family(program), expected);
        }
    }

    #[test]
    fn stems() {
        for (path, expected) in [
            ("/srv/shop.py", "shop"),
            ("shop", "shop"),
            ("Shop.Api.dll", "Shop.Api"),
            ("shop.v2", "shop.v2"),
            (".py", ".py"),
            ("/srv/shop/", "shop"),
            ("", ""),
        ] {
            assert_eq!(stem(path), expected);
        }
    }

    #[test]
    fn directories() {
        for (path, expected) in [
            ("/srv/shop", Some("shop")),
            ("/srv/shop/src/app", Some("shop")),
            ("/usr/src/app", None),
            ("/app", None),
            ("/", None),
            ("", None),
            ("/root", None),
            ("/home/ann", None),
            ("/home/ann/code/shop", Some("shop")),
            ("/home/ann/src", None),
            ("/tmp/tmpab12cd_3", None),
            ("/tmp/shop-tests/orders", Some("orders")),
            ("/srv/shop/releases/20240517", Some("shop")),
            ("/srv/shop/3f2a1b9", Some("shop")),
            ("/var/www/html", None),
            ("/usr/share/nginx/html", Some("nginx")),
            ("/opt/venv/lib/python3.11/site-packages", None),
        ] {
            assert_eq!(directory(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn paths_are_resolved() {
        assert_eq!(resolve(Some("/srv/shop"), "src/../main.py"), "/srv/shop/main.py");
        assert_eq!(resolve(Some("/srv"), "/a/./b"), "/a/b");
        assert_eq!(resolve(None, "../../a"), "/a");
        assert_eq!(parent("/a"), "/");
        assert_eq!(parent("a"), "");
    }
}

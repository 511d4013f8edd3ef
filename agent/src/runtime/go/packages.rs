//! Whose code a function is. What a program's own goroutines do is part of what they were started
//! for; those that the standard library and well-known clients start for themselves (they drive a
//! connection, fill a pool) serve whoever comes.

/// First elements of the paths of packages of the standard library.
const STANDARD: [&str; 52] = [
    "archive",
    "arena",
    "bufio",
    "bytes",
    "cmp",
    "compress",
    "container",
    "context",
    "crypto",
    "database",
    "debug",
    "embed",
    "encoding",
    "errors",
    "expvar",
    "flag",
    "fmt",
    "go",
    "hash",
    "html",
    "image",
    "index",
    "internal",
    "io",
    "iter",
    "log",
    "maps",
    "math",
    "mime",
    "net",
    "os",
    "path",
    "plugin",
    "reflect",
    "regexp",
    "runtime",
    "slices",
    "sort",
    "strconv",
    "strings",
    "structs",
    "sync",
    "syscall",
    "testing",
    "text",
    "time",
    "type:",
    "unicode",
    "unique",
    "unsafe",
    "vendor",
    "weak",
];

/// Clients and pools whose own goroutines are nobody's, and in which a goroutine of the program
/// waits for a connection or for leave to go on, never for work. By the start of their paths.
const CLIENTS: [&str; 15] = [
    "github.com/bytedance/gopkg/util/gopool",
    "github.com/go-sql-driver/mysql",
    "github.com/gomodule/redigo/",
    "github.com/jackc/",
    "github.com/jmoiron/sqlx",
    "github.com/lib/pq",
    "github.com/redis/",
    "github.com/go-redis/",
    "github.com/elastic/",
    "github.com/opensearch-project/",
    "go.mongodb.org/",
    "golang.org/x/net/",
    "golang.org/x/sync/semaphore",
    "golang.org/x/sync/singleflight",
    "google.golang.org/grpc",
];

/// Functions of the standard library that start goroutines for what their caller gave them.
const STARTERS: [&str; 2] = ["sync.(*WaitGroup).Go", "net/http.(*timeoutHandler).ServeHTTP"];

/// The goroutines of net/http's client that dial and drive connections: one after the other for
/// whoever asks. A server's read requests, each of its own.
const DRIVERS: [&str; 2] = ["net/http.(*Transport).", "net/http.(*persistConn)."];

/// Whose a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The program's own, or of a library that is not known.
    Program,
    /// Of the standard library or of a client that is known: what it starts is nobody's.
    Library,
    /// The same: and will never be anybody's.
    Driver,
    /// Of one of them, but for its caller.
    Starter,
}

/// True if the function `name` is of the program's main module, or of its main package where that module
/// is not known.
pub(super) fn is_own(name: &[u8], module: Option<&str>) -> bool {
    let of = |path: &str| {
        let rest = name.strip_prefix(path.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"/") || rest.starts_with(b"."))
    };
    of("main") || module.is_some_and(of)
}

/// Whose the function `name` is; `module` is the path of the program's own main module, if that is
/// known.
pub(super) fn owner(name: &[u8], module: Option<&str>) -> Owner {
    let name = str::from_utf8(name).unwrap_or_default();
    // `slices.SortFunc[go.shape.[]main.T,...]`
    let name = name.split('[').next().unwrap_or(name);
    let starts = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    let of_module = |rest: &str| rest.starts_with(['/', '.']);
    if module.and_then(|module| name.strip_prefix(module)).is_some_and(of_module) {
        return Owner::Program;
    }
    if starts(&STARTERS) {
        return Owner::Starter;
    }
    if starts(&DRIVERS) {
        return Owner::Driver;
    }
    let first = name.split(['/', '.']).next().unwrap_or(name);
    if STANDARD.contains(&first) || starts(&CLIENTS) { Owner::Library } else { Owner::Program }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners() {
        for (name, found) in [
            ("main.main.func1", Owner::Program),
            ("shop/internal/pool.(*Worker).run", Owner::Program),
            ("github.com/panjf2000/ants/v2.(*goWorker).run.func1", Owner::Program),
            ("golang.org/x/sync/errgroup.(*Group).Go", Owner::Program),
            ("net/http.(*Server).Serve", Owner::Library),
            ("net/http.(*Transport).dialConn", Owner::Driver),
            ("net/http.(*Transport).startDialConnForLocked", Owner::Driver),
            ("database/sql.OpenDB", Owner::Library),
            ("sync.(*WaitGroup).Go", Owner::Starter),
            ("sync.(*WaitGroup).Wait", Owner::Library),
            ("slices.SortFunc[go.shape.[]main.T,go.shape.int]", Owner::Library),
            ("main.Map[go.shape.string]", Owner::Program),
            ("vendor/golang.org/x/net/http2/hpack.(*Decoder).Write", Owner::Library),
            ("github.com/jackc/pgx/v5/pgxpool.(*Pool).Acquire", Owner::Library),
            ("type:.eq.main.T", Owner::Library),
            ("netlify/server.Run", Owner::Program),
            ("log/slog.Info", Owner::Library),
        ] {
            assert_eq!(owner(name.as_bytes(), Some("shop")), found, "{name}");
        }
        for (name, module, own) in [
            ("main.(*queue).pop", None, true),
            ("shop/internal/pool.(*Worker).run", Some("shop"), true),
            ("shopping/pool.Run", Some("shop"), false),
            ("github.com/panjf2000/ants/v2.(*goWorker).run.func1", Some("shop"), false),
        ] {
            assert_eq!(is_own(name.as_bytes(), module), own, "{name}");
        }
        assert_eq!(owner(b"log/agent.Run", Some("log/agent")), Owner::Program);
        assert_eq!(owner(b"log/agents.Run", Some("log/agent")), Owner::Library);
        assert_eq!(owner(b"\xff", None), Owner::Program);
    }
}

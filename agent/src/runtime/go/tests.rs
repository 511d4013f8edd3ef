use std::process::Command;

use object::ObjectSymbol as _;
use tempfile::TempDir;

use super::*;

/// It starts goroutines, waits in a loop, waits once, sleeps, and takes jobs from lists under a lock: at
/// the place, by a function, or one only.
const PROGRAM: &str = r#"
package main

import (
	"net/http"
	"os"
	"sync"
	"time"
)

//go:noinline
func worker(jobs chan int) {
	for range jobs {
		println("work")
	}
}

//go:noinline
func once(jobs chan int) { println(<-jobs) }

//go:noinline
func sleeps() {
	for {
		time.Sleep(time.Second)
	}
}

var (
	lock sync.Mutex
	list []int
)

//go:noinline
func drains() {
	for {
		lock.Lock()
		if len(list) == 0 {
			lock.Unlock()
			return
		}
		job := list[0]
		list = list[1:]
		lock.Unlock()
		println(job)
	}
}

//go:noinline
func pops() int {
	lock.Lock()
	defer lock.Unlock()
	if len(list) == 0 {
		return -1
	}
	job := list[0]
	list = list[1:]
	return job
}

//go:noinline
func popsAll() {
	for job := pops(); job >= 0; job = pops() {
		println(job)
	}
}

func main() {
	jobs := make(chan int, 1)
	if len(os.Args) > 5 {
		go worker(jobs)
		go sleeps()
		go drains()
		go popsAll()
		http.Get("http://localhost/")
		http.ListenAndServe(":1", nil)
	}
	jobs <- 1
	once(jobs)
}
"#;

/// Builds the program; none where there is no Go.
fn built(place: &TempDir, name: &str, arguments: &[&str]) -> Option<PathBuf> {
    let source = place.path().join("main.go");
    std::fs::write(&source, PROGRAM).expect("written");
    let go = ["/usr/local/go/bin/go", "go"]
        .iter()
        .find(|go| Command::new(go).arg("version").output().is_ok())
        .or_else(|| {
            println!("skipped: no Go");
            None
        })?;
    let program = place.path().join(name);
    let mut command = Command::new(go);
    command.env("GO111MODULE", "off").arg("build").args(arguments).arg("-o").arg(&program);
    let output = command.arg(&source).output().expect("go build");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(program)
}

/// Where a function begins and ends in the file, by the symbols.
fn range(path: &Path, name: &str) -> std::ops::Range<u64> {
    let cache = ReadCache::new(File::open(path).expect("opened"));
    let elf = Elf::parse(&cache).expect("an ELF file");
    let mut symbols = elf.symbols();
    let symbol = symbols.find(|symbol| symbol.name() == Ok(name)).expect(name);
    let start = in_file(&elf, symbol.address()).expect("in the file");
    start..start + symbol.size()
}

fn places(image: &Image, what: What) -> Vec<u64> {
    let points = image.points.iter().filter(|point| point.what == what);
    points.map(|point| point.offset).collect()
}

#[test]
fn what_is_found_is_what_the_symbols_say() {
    let place = tempfile::tempdir().expect("a directory");
    for (name, arguments) in [
        ("plain", ["-buildmode=exe"]),
        ("pie", ["-buildmode=pie"]),
        ("external", ["-ldflags=-linkmode=external"]),
    ] {
        let Some(path) = built(&place, name, &arguments) else { return };
        let image = image(&path).expect(name);
        let bytes = std::fs::read(&path).expect("read");

        let forks = places(&image, What::Forks);
        let newproc1 = range(&path, "runtime.newproc1");
        assert!(!forks.is_empty(), "{name}");
        for at in forks {
            assert!(newproc1.contains(&at), "{name}");
            assert_eq!(bytes[at as usize], 0xc3, "{name}: a return");
        }
        let drives = range(&path, "net/http.(*persistConn).roundTrip").start;
        assert_eq!(places(&image, What::Drives), [drives], "{name}");

        let waits = places(&image, What::Waits);
        assert!(waits.contains(&range(&path, "main.worker").start), "{name}: in a loop");
        for function in ["main.once", "main.sleeps"] {
            let range = range(&path, function);
            let inside: Vec<_> = waits.iter().filter(|at| range.contains(at)).collect();
            assert!(inside.len() == 1 && *inside[0] > range.start, "{name}: {function}");
            assert_eq!(bytes[*inside[0] as usize], 0xe8, "{name}: a call");
        }
        for function in ["main.drains", "main.popsAll"] {
            assert!(waits.contains(&range(&path, function).start), "{name}: {function}");
        }
        let locks_once = range(&path, "main.pops");
        assert!(!waits.iter().any(|at| locks_once.contains(at)), "{name}: {waits:x?}");
        assert_eq!(waits.len(), 5, "{name}: only the program's own");
        assert!(image.starts.len() > 20, "{name}: those of net/http");
        let drivers = image.starts.iter().filter(|(_, what)| *what == start::NEVER);
        assert!(drivers.count() >= 2, "{name}: of a connection");
    }
}

#[test]
fn stripped_ones_tell_the_same() {
    let place = tempfile::tempdir().expect("a directory");
    let Some(whole) = built(&place, "whole", &[]) else { return };
    let stripped = built(&place, "stripped", &["-ldflags=-s -w"]).expect("built");
    let (whole, stripped) = (image(&whole).expect("whole"), image(&stripped).expect("stripped"));
    assert_eq!(whole, stripped);
}

#[test]
fn damaged_ones_are_harmless() {
    let place = tempfile::tempdir().expect("a directory");
    let Some(path) = built(&place, "whole", &["-ldflags=-s -w"]) else { return };
    let whole = std::fs::read(&path).expect("read");
    for length in [0, 10, 64, 1000, 4096, whole.len() / 3, whole.len() / 2, whole.len() - 4096] {
        std::fs::write(&path, &whole[..length]).expect("written");
        assert!(image(&path).is_err(), "{length}");
    }
    // The table of functions, each word of its header in turn.
    let at = memchr::memmem::find(&whole, &[0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8]).expect("a table");
    for word in 1..9 {
        for value in [0, 1, 0x7fff_ffff, u64::MAX] {
            let mut bytes = whole.clone();
            bytes[at + 8 * word..at + 8 * word + 8].copy_from_slice(&value.to_le_bytes());
            std::fs::write(&path, &bytes).expect("written");
            let _ = image(&path);
        }
    }
}

#[test]
fn this_process_is_none() {
    assert_eq!(process(Path::new("/proc"), std::process::id()).expect("own process"), None);
    assert!(matches!(process(Path::new("/proc"), u32::MAX), Err(Unknown::Io(_))));
    assert!(matches!(image(Path::new("/proc/self/exe")), Err(Unknown::Lacks(_))));
}

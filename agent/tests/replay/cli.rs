//! The command line of `tracebee replay`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tracebee::source::Time;
use tracebee::source::recording::{Ending, Item, encode, header};

use tracebee_tests::capture::files::pcap;
use tracebee_tests::capture::talk::Talk;

fn tracebee(directory: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tracebee"))
        .arg("replay")
        .args(args)
        .current_dir(directory)
        .env("TZ", "UTC")
        .output()
        .expect("tracebee starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

/// A directory with the capture `a.pcap` of two calls and the file `no.pcap`, which is none.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let talk = Talk::new().open().call("/a", 200, 10).call("/b", 503, 20).close();
    fs::write(directory.path().join("a.pcap"), pcap(&talk.frames())).expect("written");
    fs::write(directory.path().join("no.pcap"), "not a capture").expect("written");
    directory
}

#[test]
fn text_is_the_default() {
    let directory = directory();
    let output = tracebee(directory.path(), &["a.pcap"]);
    assert!(output.status.success());
    let lines = text(&output.stdout);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(lines.contains("10.0.0.1:80") && lines.contains("GET /a"), "{lines}");
    assert_eq!(text(&output.stderr), "2 calls, 2 spans, nothing lost\n");
}

#[test]
fn filters_ports_and_json() {
    let directory = directory();
    let run = |args: &[&str]| {
        let output = tracebee(directory.path(), args);
        assert!(output.status.success(), "{args:?}");
        text(&output.stdout)
    };
    assert_eq!(run(&["--errors", "a.pcap"]).lines().count(), 1);
    assert_eq!(run(&["--port", "81", "a.pcap"]), "");
    assert_eq!(run(&["--exclude-port", "80", "a.pcap"]), "");
    assert_eq!(run(&["--port", "80", "--output", "none", "a.pcap"]), "");
    assert_eq!(run(&["--service", "10.0.0.1:80", "a.pcap"]).lines().count(), 2);
    let json = run(&["--output", "json", "--path", "/b", "a.pcap"]);
    assert!(json.starts_with(r#"{"resourceSpans":["#), "{json}");
    assert!(json.contains(r#""kind":2"#) && !json.contains("process.pid"), "{json}");
}

#[test]
fn a_damaged_file_is_one_warning() {
    let directory = directory();
    let whole = fs::read(directory.path().join("a.pcap")).expect("written before");
    fs::write(directory.path().join("cut.pcap"), &whole[..whole.len() - 200]).expect("written");
    let output = tracebee(directory.path(), &["cut.pcap"]);
    assert!(output.status.success());
    let errors = text(&output.stderr);
    assert_eq!(errors.matches("warning").count(), 1, "{errors}");
    assert!(errors.contains("cut.pcap: damaged at byte"), "{errors}");
    assert_eq!(text(&output.stdout).lines().count(), 2);
}

/// A recording of nothing that has its end, or not.
fn recording(directory: &Path, name: &str, ends: bool) {
    let mut bytes = header(0).to_vec();
    encode(&Item::Tick(Time(1)), &mut bytes);
    if ends {
        encode(&Item::End(Ending::Stopped), &mut bytes);
    }
    fs::write(directory.join(name), bytes).expect("written");
}

#[test]
fn recordings_are_recognised_among_captures() {
    let directory = directory();
    recording(directory.path(), "whole.rec", true);
    recording(directory.path(), "killed.rec", false);
    let output = tracebee(directory.path(), &["whole.rec", "a.pcap"]);
    assert!(output.status.success());
    assert_eq!(text(&output.stdout).lines().count(), 2);
    assert_eq!(text(&output.stderr), "2 calls, 2 spans, nothing lost\n");

    let output = tracebee(directory.path(), &["killed.rec"]);
    assert!(output.status.success());
    let errors = text(&output.stderr);
    assert_eq!(errors.matches("warning").count(), 1, "{errors}");
    assert!(errors.contains("killed.rec: the recording has no end"), "{errors}");

    let whole = fs::read(directory.path().join("whole.rec")).expect("written before");
    for (bytes, word) in [
        (&whole[..20], "header of the tracebee capture is damaged"),
        (&[b"tracebee", &[7u8, 0][..]].concat()[..], "format 7"),
    ] {
        fs::write(directory.path().join("bad.rec"), bytes).expect("written");
        let output = tracebee(directory.path(), &["bad.rec"]);
        assert_eq!(output.status.code(), Some(1));
        let errors = text(&output.stderr);
        assert!(errors.lines().count() == 1 && errors.contains(word), "{errors}");
    }
}

#[test]
fn no_header_is_one_error() {
    let directory = directory();
    for file in ["no.pcap", "missing.pcap", "."] {
        let output = tracebee(directory.path(), &[file]);
        assert_eq!(output.status.code(), Some(1), "{file}");
        let errors = text(&output.stderr);
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.starts_with(&format!("tracebee: {file}: ")), "{errors}");
        assert_eq!(text(&output.stdout), "");
    }
    // The others are read all the same.
    let output = tracebee(directory.path(), &["no.pcap", "a.pcap"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout).lines().count(), 2);
    assert_eq!(tracebee(directory.path(), &[]).status.code(), Some(2), "no file at all");
}

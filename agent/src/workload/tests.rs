//! Processes of this machine, and of a made-up `/proc`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;

fn text(resource: &Resource, key: &str) -> Option<String> {
    resource.attributes.iter().find(|(known, _)| &**known == key).map(|(_, value)| match value {
        Value::Static(text) => (*text).to_owned(),
        Value::Text(text) => text.to_string(),
        Value::Shared(text) => text.to_string(),
        other => format!("{other:?}"),
    })
}

/// Writes a process into a made-up `/proc`.
fn process(proc: &Path, pid: u32, started: u64, line: &str, executable: &str, environment: &str) {
    let directory = proc.join(pid.to_string());
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory");
    let zeros = "0 ".repeat(17);
    fs::write(directory.join("stat"), format!("{pid} (comm) S 1 {zeros}{started} 0\n"))
        .expect("stat");
    fs::write(directory.join("cmdline"), line.replace(' ', "\0") + "\0").expect("cmdline");
    fs::write(directory.join("environ"), environment).expect("environ");
    symlink(executable, directory.join("exe")).expect("exe");
    symlink("/srv/place", directory.join("cwd")).expect("cwd");
}

fn made_up() -> (tempfile::TempDir, Workloads, Arc<Stats>) {
    let proc = tempfile::tempdir().expect("a directory");
    let stats = Arc::new(Stats::default());
    let workloads = Workloads::of(proc.path().to_owned(), Arc::clone(&stats));
    (proc, workloads, stats)
}

#[test]
fn this_process_is_named() {
    let mut workloads = Workloads::new(Arc::default());
    let resource = workloads.resource(std::process::id());
    assert!(resource.service.starts_with("tracebee"), "{}", resource.service);
    let text = |key| text(&resource, key).unwrap_or_default();
    assert_eq!(text("service.name"), &*resource.service);
    assert_eq!(text("process.pid"), format!("Int({})", std::process::id()));
    assert!(text("process.executable.path").ends_with(&text("process.executable.name")));
    assert!(text("process.creation.time").starts_with("20"));
    assert_eq!(text("service.instance.id").len(), 36);
    assert!(!text("host.name").is_empty());
    assert_eq!(text("os.type"), "linux");
    assert_eq!(text("telemetry.distro.name"), "tracebee");
    assert!(resource.attributes.iter().all(|(key, _)| !key.starts_with("process.command")));
    assert!(Arc::ptr_eq(&resource, &workloads.resource(std::process::id())));
}

#[test]
fn an_unmodified_program_is_named() {
    let place = tempfile::Builder::new().prefix("orders").tempdir().expect("a directory");
    fs::write(place.path().join("till.py"), "import time; time.sleep(60)").expect("a script");
    let python = std::process::Command::new("python3")
        .args(["-u", "till.py", "--port", "8000"])
        .current_dir(place.path())
        .env("OTEL_RESOURCE_ATTRIBUTES", "service.version=7,host.name=lie")
        .spawn();
    let Ok(mut child) = python else {
        eprintln!("skipped: no python3");
        return;
    };
    let pid = child.id();
    // Until it has executed Python, the child is a copy of this process or a launcher.
    let executable = || fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    for _ in 0..500 {
        if name::base_of(&executable().to_string_lossy()).starts_with("python") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let mut workloads = Workloads::new(Arc::default());
    let resource = workloads.resource(pid);
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    assert_eq!(&*resource.service, "till");
    assert_eq!(text(&resource, "process.runtime.name").as_deref(), Some("cpython"));
    assert_eq!(text(&resource, "service.version").as_deref(), Some("7"));
    assert_ne!(text(&resource, "host.name").as_deref(), Some("lie"));
    // Its last calls come when it is gone.
    workloads.expire(Time(1));
    assert!(Arc::ptr_eq(&resource, &workloads.resource(pid)));
}

#[test]
fn a_process_that_is_gone_is_unknown() {
    let mut workloads = Workloads::new(Arc::default());
    let resource = workloads.resource(u32::MAX);
    assert_eq!(&*resource.service, "unknown_service");
    assert_eq!(resource.pid, u32::MAX);
    assert_eq!(text(&resource, "service.instance.id"), None);
    assert!(Arc::ptr_eq(&resource, &workloads.resource(u32::MAX)));
}

#[test]
fn pids_come_back_as_other_programs() {
    let (proc, mut workloads, _) = made_up();
    process(proc.path(), 7, 100, "/bin/shop", "/bin/shop", "");
    let shop = workloads.resource(7);
    assert_eq!(&*shop.service, "shop");

    // The same process executes another program: seen in the next round.
    process(proc.path(), 7, 100, "/bin/till", "/bin/till", "");
    assert!(Arc::ptr_eq(&shop, &workloads.resource(7)));
    workloads.expire(Time(1));
    let till = workloads.resource(7);
    assert_eq!(&*till.service, "till");
    assert_eq!(text(&till, "service.instance.id"), text(&shop, "service.instance.id"));

    // Another process with the same number: seen at once if somebody says so.
    process(proc.path(), 7, 200, "/bin/till", "/bin/till", "OTEL_SERVICE_NAME=cashier");
    workloads.forget(7);
    let cashier = workloads.resource(7);
    assert_eq!(&*cashier.service, "cashier");
    assert_ne!(text(&cashier, "service.instance.id"), text(&shop, "service.instance.id"));

    // It ends: its last calls keep its name.
    fs::remove_dir_all(proc.path().join("7")).expect("removed");
    workloads.forget(7);
    assert!(Arc::ptr_eq(&cashier, &workloads.resource(7)));
}

#[test]
fn workers_are_named_after_their_parent() {
    let (proc, mut workloads, _) = made_up();
    process(proc.path(), 50, 1, "uvicorn orders:app --workers 4", "/usr/bin/python3.11", "");
    process(proc.path(), 51, 2, "x", "/usr/bin/python3.11", "");
    fs::write(
        proc.path().join("51/cmdline"),
        "python\0-c\0from multiprocessing.spawn import spawn_main; spawn_main()\0",
    )
    .expect("cmdline");
    let stat = fs::read_to_string(proc.path().join("51/stat")).expect("stat");
    fs::write(proc.path().join("51/stat"), stat.replace("S 1 ", "S 50 ")).expect("stat");
    assert_eq!(&*workloads.resource(51).service, "orders");
}

#[test]
fn the_table_is_bounded_and_forgets_the_idle() {
    let (proc, mut workloads, stats) = made_up();
    process(proc.path(), 7, 100, "/bin/shop", "/bin/shop", "");
    // Of those that have to make room, some are still there.
    for pid in 10..30 {
        process(proc.path(), pid, 100, "/bin/shop", "/bin/shop", "");
    }
    for pid in 10..10 + MAX_PROCESSES as u32 + 100 {
        workloads.resource(7);
        workloads.resource(pid);
    }
    assert_eq!(workloads.processes.len(), MAX_PROCESSES);
    assert!(workloads.processes.contains_key(&7));
    assert_eq!(stats.lost(Loss::TableFull), 20);
    workloads.expire(Time(1));
    workloads.expire(Time(IDLE));
    workloads.resource(7);
    workloads.expire(Time(IDLE + 1));
    assert_eq!(workloads.processes.len(), 1);
}

#[test]
fn a_process_that_is_gone_is_what_the_kernel_saw() {
    let (proc, mut workloads, _) = made_up();
    let program = |arguments| Program {
        pid: 9,
        started: Time(70_000_000_000),
        comm: "python3".into(),
        arguments,
        environment: b"A=b\0OTEL_RESOURCE_ATTRIBUTES=service.version=3\0",
        contexts: false,
    };
    workloads.runs(&program(b"python3\0-m\0till\0"));
    let resource = workloads.resource(9);
    assert_eq!(&*resource.service, "till");
    assert_eq!(text(&resource, "service.version").as_deref(), Some("3"));
    assert_eq!(text(&resource, "service.instance.id").map(|id| id.len()), Some(36));
    // Another program in the same process.
    workloads.runs(&program(b"/usr/bin/curl\0http://shop/\0"));
    assert_eq!(&*workloads.resource(9).service, "curl");
    // What can be read is preferred: it is whole.
    process(proc.path(), 9, 7000, "node shop.js", "/usr/bin/node", "");
    workloads.runs(&program(b"node\0"));
    assert_eq!(&*workloads.resource(9).service, "shop");
}

#[test]
fn what_came_before_the_first_tick_is_not_old() {
    let (proc, mut workloads, _) = made_up();
    process(proc.path(), 9, 7000, "node shop.js", "/usr/bin/node", "");
    let first = workloads.resource(9);
    fs::remove_dir_all(proc.path().join("9")).expect("gone");
    workloads.expire(Time(2 * IDLE));
    assert!(Arc::ptr_eq(&first, &workloads.resource(9)));
    workloads.expire(Time(4 * IDLE));
    assert_eq!(&*workloads.resource(9).service, "unknown_service");
}

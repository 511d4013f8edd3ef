use super::super::processes::Peer;
use super::super::processes::test::process;
use super::*;

const PLAIN: Look = Look { colour: false, columns: None };

fn report(findings: Vec<Finding>) -> Report {
    let mut shop = process(4711, "shop", "nodejs");
    shop.listens =
        vec!["0.0.0.0:8001".parse().expect("an address"), "[::]:8001".parse().expect("an address")];
    shop.accepted = 2;
    let peer = |address: &str, service: Option<&str>, connections| Peer {
        address: address.parse().expect("an address"),
        service: service.map(Into::into),
        connections,
    };
    shop.connects = vec![peer("127.0.0.1:8002", Some("crm"), 3), peer("10.0.0.9:5432", None, 1)];
    let mut go = process(12, "a-service-with-a-very-long-name", "go");
    go.runtime.version = Some("1.26.8".into());
    go.runtime.stripped = Some(true);
    go.listens = (1..=7).map(|port| ([127, 0, 0, 1], port).into()).collect();
    let processes = Processes { processes: vec![go, shop], hidden: 3, more: 0 };
    let capture = findings.iter().all(|f| f.verdict != Verdict::Problem).then_some("socket");
    Report::new(capture, findings, processes)
}

#[test]
fn aligned_and_plain() {
    let findings = vec![
        Area::Kernel.ok("version", "Linux 6.18.0 x86_64"),
        Area::Kernel.note("eBPF compiler", "off", "switch it on"),
        Area::Capture.ok("socket", "4 programs"),
    ];
    assert_eq!(
        text(&report(findings), &PLAIN),
        "\
kernel
  ok       version        Linux 6.18.0 x86_64
  note     eBPF compiler  off; to do: switch it on

capture
  ok       socket         4 programs

processes with TCP sockets
  PID   SERVICE                   RUNTIME              CALLERS     INSIDE  SOCKETS
  12    a-service-with-a-very-l…  go 1.26.8, stripped  seq,header  sole    listens on 1 2 3 4 5 +2
  4711  shop                      nodejs               seq,header  sole    listens on 8001, 2 accepted, to crm (127.0.0.1:8002) x3, to 10.0.0.9:5432
  CALLERS: server spans hang under their callers' by sequence numbers (seq) or traceparent (header)
  INSIDE: calls that a process makes while it answers one hang under it by what its runtime works on (context), by its thread once a run has seen that each serves one at a time (thread), or if it is the only one (sole); encrypted calls are not read yet
  3 processes may not be looked at

tracing works, capture=socket
"
    );
}

#[test]
fn problems_are_counted_and_coloured() {
    let findings = vec![Area::Kernel.problem("type information", "missing", "boot another")];
    let report = report(findings);
    assert!(!report.works);
    let plain = text(&report, &PLAIN);
    assert!(plain.contains("  problem  type information  missing; to do: boot another\n"));
    assert!(plain.ends_with("tracing cannot work as it should: 1 problem\n"), "{plain}");
    let coloured = text(&report, &Look { colour: true, columns: Some(60) });
    assert!(coloured.contains("\x1b[1;31mproblem\x1b[0m"));
    let rows = coloured.lines().filter(|line| line.contains("seq,header"));
    assert!(rows.into_iter().all(|line| width_of(line) <= 60), "{coloured}");
}

#[test]
fn machines_get_everything() {
    let report = report(vec![Area::Host.note("x", "y", "z")]);
    let value: serde_json::Value = serde_json::from_str(&json(&report)).expect("JSON");
    assert_eq!(value["works"], true);
    assert_eq!(value["capture"], "socket");
    assert_eq!(
        value["findings"][0],
        serde_json::json!({"area": "host", "topic": "x", "verdict": "note", "what": "y", "remedy": "z"})
    );
    let shop = &value["processes"][1];
    assert_eq!(shop["service"], "shop");
    assert_eq!(shop["listens"][0], "0.0.0.0:8001");
    assert_eq!(
        shop["connects"][0],
        serde_json::json!({"address": "127.0.0.1:8002", "service": "crm", "connections": 3})
    );
    let links = serde_json::json!({"callers": ["seq", "header"], "inside": ["sole"], "why": null});
    assert_eq!(shop["links"], links);
    assert_eq!((&value["hidden"], &value["more"]), (&3.into(), &0.into()));
}

#[test]
fn hostile_names_cannot_act() {
    let mut report = report(vec![Area::Kernel.ok("x", "a\x1b[2Jb")]);
    report.processes.processes[0].service = "evil\x1b]0;x\x07\nname".into();
    let text = text(&report, &PLAIN);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    assert!(!text.contains("\nname"));
}

//! What Wireshark (`tshark`) says of a capture: an independent decoder of TCP and HTTP.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// A request with its response.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// When the first packet of the request was captured, in nanoseconds of Unix time.
    pub start: u64,
    /// When the last packet of the response was.
    pub end: u64,
    /// Address and port of the client.
    pub client: (String, u16),
    /// Port of the server.
    pub server_port: u16,
    /// Method.
    pub method: String,
    /// Request target.
    pub uri: String,
    /// Status of the final response.
    pub status: u16,
}

/// A message: the packets that it came in, and what it says.
struct Message {
    first: u64,
    last: u64,
    from: String,
    ports: [u16; 2],
    method: String,
    uri: String,
    status: Option<u16>,
    /// Packet in which its request was complete.
    request: Option<u64>,
}

const FIELDS: [&str; 10] = [
    "frame.number",
    "tcp.segment",
    "ip.src",
    "ipv6.src",
    "tcp.srcport",
    "tcp.dstport",
    "http.request.method",
    "http.request.uri",
    "http.response.code",
    "http.request_in",
];

/// The exchanges of a capture with servers at `ports`.
pub fn exchanges(file: &Path, ports: &[u16]) -> Result<Vec<Exchange>> {
    let times = times(file)?;
    let time = |frame: u64| times.get(&frame).copied().context("a packet without a time");
    let messages = read(file, ports)?;
    let requests: HashMap<u64, &Message> = messages
        .iter()
        .filter(|message| !message.method.is_empty())
        .map(|message| (message.last, message))
        .collect();
    let mut exchanges = Vec::new();
    for response in &messages {
        // Interim responses come before the answer.
        let Some(status) = response.status.filter(|status| *status >= 200) else { continue };
        let Some(request) = response.request.and_then(|frame| requests.get(&frame)) else {
            continue;
        };
        exchanges.push(Exchange {
            start: time(request.first)?,
            end: time(response.last)?,
            client: (request.from.clone(), request.ports[0]),
            server_port: request.ports[1],
            method: request.method.clone(),
            uri: request.uri.clone(),
            status,
        });
    }
    Ok(exchanges)
}

/// The targets of all requests and the codes of all responses.
pub fn messages(file: &Path, ports: &[u16]) -> Result<(Vec<String>, Vec<String>)> {
    let output = tshark(file, ports, "http", &["http.request.uri", "http.response.code"])?;
    let (mut targets, mut codes) = (Vec::new(), Vec::new());
    for line in output.lines() {
        let (uris, statuses) = line.split_once('\t').context("two fields")?;
        targets.extend(uris.split(';').filter(|uri| !uri.is_empty()).map(str::to_owned));
        codes.extend(statuses.split(';').filter(|code| !code.is_empty()).map(str::to_owned));
    }
    Ok((targets, codes))
}

fn read(file: &Path, ports: &[u16]) -> Result<Vec<Message>> {
    let output = tshark(file, ports, "http", &FIELDS)?;
    output.lines().map(|line| message(line).with_context(|| line.to_owned())).collect()
}

fn message(line: &str) -> Result<Message> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [frame, segments, v4, v6, from, to, method, uri, status, request] =
        <[&str; FIELDS.len()]>::try_from(fields)
            .ok()
            .context("as many fields as were asked for")?;
    let last: u64 = frame.parse()?;
    let first = segments.split(';').filter_map(|frame| frame.parse().ok()).min().unwrap_or(last);
    Ok(Message {
        first,
        last,
        from: if v4.is_empty() { v6 } else { v4 }.to_owned(),
        ports: [from.parse()?, to.parse()?],
        method: method.to_owned(),
        uri: uri.to_owned(),
        status: (!status.is_empty()).then(|| status.parse()).transpose()?,
        request: (!request.is_empty()).then(|| request.parse()).transpose()?,
    })
}

/// When each packet was captured.
fn times(file: &Path) -> Result<HashMap<u64, u64>> {
    let output = tshark(file, &[], "tcp", &["frame.number", "frame.time_epoch"])?;
    let pair = |line: &str| -> Option<(u64, u64)> {
        let (frame, time) = line.split_once('\t')?;
        let (seconds, fraction) = time.split_once('.')?;
        let nanoseconds: u64 = format!("{fraction:0<9}").parse().ok()?;
        Some((frame.parse().ok()?, seconds.parse::<u64>().ok()? * 1_000_000_000 + nanoseconds))
    };
    output.lines().map(|line| pair(line).with_context(|| line.to_owned())).collect()
}

fn tshark(file: &Path, ports: &[u16], filter: &str, fields: &[&str]) -> Result<String> {
    let mut command = Command::new("tshark");
    // Two passes, so that packets know what comes later; streams are put in order first.
    command.args(["-n", "-2", "-o", "tcp.reassemble_out_of_order:TRUE", "-R", filter]);
    for port in ports {
        command.args(["-d", &format!("tcp.port=={port},http")]);
    }
    command.args(["-T", "fields", "-E", "aggregator=;"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.arg("-r").arg(file).output().context("start tshark: run tests/setup")?;
    ensure!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

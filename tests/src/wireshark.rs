//! What Wireshark (`tshark`) says of a capture: an independent decoder of TCP, HTTP, AMQP, MySQL and
//! PostgreSQL.

pub mod amqp;
pub mod capture;
pub mod mysql;
pub mod postgres;

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

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
    /// Packet in which it was complete.
    complete: u64,
    /// First and last packet with bytes of it.
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

const FIELDS: [&str; 11] = [
    "frame.number",
    "tcp.segment",
    "tcp.len",
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
        .map(|message| (message.complete, message))
        .collect();
    // Wireshark takes an interim response for the answer, and knows no request of the answer.
    let mut interim = HashMap::new();
    let mut exchanges = Vec::new();
    for response in &messages {
        let Some(status) = response.status else { continue };
        let connection = (&response.from, response.ports);
        if status < 200 {
            interim.insert(connection, response.request);
            continue;
        }
        let frame = response.request.or_else(|| interim.remove(&connection).flatten());
        let Some(request) = frame.and_then(|frame| requests.get(&frame)) else { continue };
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

fn read(file: &Path, ports: &[u16]) -> Result<Vec<Message>> {
    let output = tshark(file, ports, "http", &FIELDS, ';')?;
    output.lines().map(|line| message(line).with_context(|| line.to_owned())).collect()
}

fn message(line: &str) -> Result<Message> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [frame, segments, length, v4, v6, from, to, method, uri, status, request] =
        <[&str; FIELDS.len()]>::try_from(fields)
            .ok()
            .context("as many fields as were asked for")?;
    let complete: u64 = frame.parse()?;
    let segments = || segments.split(';').filter_map(|frame| frame.parse().ok());
    // What ends with the connection is complete with a FIN, which may have no bytes of it.
    let before = |frame: &u64| length == "0" && *frame < complete;
    let last = segments().filter(before).max();
    Ok(Message {
        complete,
        first: segments().min().unwrap_or(complete),
        last: last.unwrap_or(complete),
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
    let output = tshark(file, &[], "tcp", &["frame.number", "frame.time_epoch"], ';')?;
    let pair = |line: &str| -> Option<(u64, u64)> {
        let (frame, time) = line.split_once('\t')?;
        let (seconds, fraction) = time.split_once('.')?;
        let nanoseconds: u64 = format!("{fraction:0<9}").parse().ok()?;
        Some((frame.parse().ok()?, seconds.parse::<u64>().ok()? * 1_000_000_000 + nanoseconds))
    };
    output.lines().map(|line| pair(line).with_context(|| line.to_owned())).collect()
}

/// Between values of one field: nobody writes it.
const BETWEEN: char = '\u{1f}';

/// Fields of a packet, before those of its protocol.
const FRAME: [&str; 4] = ["frame.number", "tcp.segment", "tcp.dstport", "tcp.stream"];

/// A packet of a connection to a server, in which messages were complete.
struct Frame<'a> {
    /// When the first packet of the first message was captured, in nanoseconds of Unix time.
    start: u64,
    /// When this packet was.
    end: u64,
    /// The client sent it.
    asks: bool,
    /// Which connection it is of.
    stream: &'a str,
}

/// Hands over the packets to and from the server at `port`, each with those fields of `protocol`.
fn frames<const N: usize>(
    file: &Path,
    port: u16,
    protocol: &str,
    fields: [&str; N],
    mut on: impl FnMut(Frame<'_>, [&str; N]) -> Result<()>,
) -> Result<()> {
    let times = times(file)?;
    let time = |frame: u64| times.get(&frame).copied().context("a packet without a time");
    let all = [&FRAME[..], &fields].concat();
    let output = tshark(file, &[port], protocol, &all, BETWEEN)?;
    for line in output.lines() {
        let read: Vec<&str> = line.split('\t').collect();
        let Some(([number, segments, to, stream], rest)) = read.split_first_chunk() else {
            bail!("too few fields: {line}");
        };
        let rest = <[&str; N]>::try_from(rest).with_context(|| line.to_owned())?;
        let number: u64 = number.parse()?;
        let first = segments.split(BETWEEN).filter_map(|frame| frame.parse().ok()).min();
        let frame = Frame {
            start: time(first.unwrap_or(number))?,
            end: time(number)?,
            asks: *to == port.to_string(),
            stream,
        };
        on(frame, rest).with_context(|| line.to_owned())?;
    }
    Ok(())
}

/// Decodes `protocol` at `ports`; values of one field are told with `between` between them.
fn tshark(
    file: &Path,
    ports: &[u16],
    protocol: &str,
    fields: &[&str],
    between: char,
) -> Result<String> {
    let mut command = Command::new("tshark");
    // Two passes, so that packets know what comes later; streams are put in order first.
    command.args(["-n", "-2", "-o", "tcp.reassemble_out_of_order:TRUE", "-Y", protocol]);
    for port in ports {
        command.args(["-d", &format!("tcp.port=={port},{protocol}")]);
    }
    command.args(["-T", "fields", "-E", &format!("aggregator={between}")]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.arg("-r").arg(file).output().context("start tshark: run tests/setup")?;
    ensure!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

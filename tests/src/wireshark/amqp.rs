//! What Wireshark says of a capture of AMQP 0-9-1.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::times;

/// A message on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// `publish`, `consume` or `get`.
    pub operation: &'static str,
    /// When its first packet was captured, in nanoseconds of Unix time; that of the question, where one
    /// asks for it.
    pub start: u64,
    /// When the last packet was: of the message, the broker's confirm, or what settled it.
    pub end: u64,
    /// Exchange and routing key.
    pub exchange: String,
    /// The routing key.
    pub key: String,
    /// Bytes of its body.
    pub size: u64,
    /// By which it is settled; 0 if it is sent.
    pub tag: u64,
    /// It was brought before.
    pub redelivered: bool,
    /// The broker confirmed it.
    pub confirmed: bool,
    /// `ack`, `requeue` or `reject`.
    pub settled: Option<&'static str>,
}

/// A frame of AMQP, as it is shown.
#[derive(Default)]
struct Shown {
    fields: HashMap<String, String>,
}

impl Shown {
    fn text(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or_default()
    }

    fn argument(&self, name: &str) -> &str {
        self.text(&format!("amqp.method.arguments.{name}"))
    }

    fn is_set(&self, name: &str) -> bool {
        matches!(self.argument(name), "1" | "True")
    }

    fn tag(&self) -> u64 {
        self.argument("delivery_tag").parse().unwrap_or_default()
    }
}

/// One channel of a connection.
#[derive(Default)]
struct Channel {
    /// What each side is sending, and how many bytes of it are to come.
    sending: [Option<(Told, u64)>; 2],
    /// Messages that were published since the client asked for confirms.
    confirms: Option<u64>,
    unconfirmed: BTreeMap<u64, Told>,
    unsettled: BTreeMap<u64, Told>,
    /// Consumers that settle nothing.
    never: Vec<String>,
    /// When the client asked for a message.
    asked: Option<u64>,
}

/// Messages to and from the broker at `port`, in connections that are seen from their beginnings. Those
/// that were lost on the way back (`basic.return`) are not told.
pub fn told(file: &Path, port: u16) -> Result<Vec<Told>> {
    let times = times(file)?;
    let mut command = Command::new("tshark");
    command.args(["-n", "-2", "-o", "tcp.reassemble_out_of_order:TRUE", "-Y", "amqp"]);
    command.args(["-d", &format!("tcp.port=={port},amqp"), "-T", "pdml", "-r"]).arg(file);
    let output = command.output().context("start tshark: run tests/setup")?;
    ensure!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);

    let mut channels: HashMap<(String, u64), Channel> = HashMap::new();
    let mut all = Vec::new();
    let (mut packet, mut shown) = (Shown::default(), None::<Shown>);
    let (mut segments, mut first) = (Vec::new(), true);
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("<packet>") {
            (packet, segments, first) = (Shown::default(), Vec::new(), true);
        } else if line.starts_with("<proto name=\"amqp\"") {
            shown = Some(Shown::default());
        } else if line.starts_with("</proto>") {
            let Some(shown) = shown.take() else { continue };
            let number = packet.number("frame.number");
            let begun = segments.iter().copied().min().filter(|_| first).unwrap_or(number);
            first = false;
            let time = |frame: u64| times.get(&frame).copied().context("a packet without a time");
            let asks = packet.number("tcp.dstport") == u64::from(port);
            let of = (packet.text("tcp.stream").to_owned(), shown.number("amqp.channel"));
            let channel = channels.entry(of).or_default();
            take(channel, &shown, asks, [time(begun)?, time(number)?], &mut all);
        } else if line.starts_with("<field") {
            let (Some(name), Some(value)) = (attribute(line, "name"), attribute(line, "show"))
            else {
                continue;
            };
            match (name, &mut shown) {
                ("tcp.segment", _) => segments.extend(value.parse::<u64>().ok()),
                (_, Some(shown)) => {
                    // Names in tables of arguments come later and mean nothing here.
                    shown.fields.entry(name.into()).or_insert_with(|| value.into());
                }
                (_, None) => {
                    packet.fields.entry(name.into()).or_insert_with(|| value.into());
                }
            }
        }
    }
    for channel in channels.into_values() {
        all.extend(channel.unconfirmed.into_values().chain(channel.unsettled.into_values()));
    }
    Ok(all)
}

fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!(" {name}=\""))?;
    Some(rest.split_once('"')?.0)
}

/// Takes in one frame, from the first of `times` to the last.
fn take(
    channel: &mut Channel,
    shown: &Shown,
    asks: bool,
    [begun, whole]: [u64; 2],
    all: &mut Vec<Told>,
) {
    let side = usize::from(!asks);
    match shown.number("amqp.type") {
        1 => {}
        2 => {
            let size = shown.number("amqp.header.body-size");
            if let Some((told, left)) = &mut channel.sending[side] {
                (told.size, *left) = (size, size);
            }
            return arrives(channel, side, whole, all);
        }
        3 => {
            if let Some((_, left)) = &mut channel.sending[side] {
                *left = left.saturating_sub(shown.number("amqp.length"));
            }
            return arrives(channel, side, whole, all);
        }
        _ => return,
    }
    let method = (shown.number("amqp.method.class"), shown.number("amqp.method.method"));
    let message = |operation, start| Told {
        operation,
        start,
        exchange: shown.argument("exchange").to_owned(),
        key: shown.argument("routing_key").to_owned(),
        tag: shown.tag(),
        redelivered: shown.is_set("redelivered"),
        ..Told::default()
    };
    let requeue = || if shown.is_set("requeue") { "requeue" } else { "reject" };
    match (method, asks) {
        ((20, 10), true) => *channel = Channel::default(),
        ((20, 40 | 41), _) => {
            let open = std::mem::take(channel);
            all.extend(open.unconfirmed.into_values().chain(open.unsettled.into_values()));
        }
        ((85, 10), true) => channel.confirms = Some(0),
        ((60, 20), true) if shown.is_set("no_ack") => {
            channel.never.push(shown.argument("consumer_tag").to_owned());
        }
        ((60, 40), true) => {
            channel.sending[side] = Some((message("publish", begun), u64::MAX));
        }
        ((60, 60), false) => {
            let mut told = message("consume", begun);
            if channel.never.iter().any(|tag| tag == shown.argument("consumer_tag")) {
                told.settled = Some("never");
            }
            channel.sending[side] = Some((told, u64::MAX));
        }
        ((60, 70), true) => channel.asked = Some(begun),
        ((60, 71), false) => {
            let start = channel.asked.take().unwrap_or_default();
            channel.sending[side] = Some((message("get", start), u64::MAX));
        }
        ((60, 50), false) => channel.sending[side] = Some((message("return", begun), u64::MAX)),
        ((60, 80), false) => {
            for (_, told) in of(&mut channel.unconfirmed, shown) {
                all.push(Told { confirmed: true, end: whole, ..told });
            }
        }
        ((60, 80 | 90 | 120), true) => {
            let settled = Some(if method.1 == 80 { "ack" } else { requeue() });
            for (_, told) in of(&mut channel.unsettled, shown) {
                all.push(Told { settled, end: whole, ..told });
            }
        }
        _ => {}
    }
}

/// Those that a tag means, taken out.
fn of(waiting: &mut BTreeMap<u64, Told>, shown: &Shown) -> BTreeMap<u64, Told> {
    let tag = shown.tag();
    if shown.is_set("multiple") {
        let rest = if tag == 0 { BTreeMap::new() } else { waiting.split_off(&(tag + 1)) };
        return std::mem::replace(waiting, rest);
    }
    waiting.remove(&tag).map(|told| (tag, told)).into_iter().collect()
}

/// What is sent has no more to come: it waits for the other side's word, or is over.
fn arrives(channel: &mut Channel, side: usize, whole: u64, all: &mut Vec<Told>) {
    let Some((mut told, _)) = channel.sending[side].take_if(|(_, left)| *left == 0) else { return };
    told.end = whole;
    match (told.operation, &mut channel.confirms) {
        ("return", _) => {}
        ("publish", Some(count)) => {
            *count += 1;
            channel.unconfirmed.insert(*count, told);
        }
        ("consume", _) if told.settled.is_none() => {
            channel.unsettled.insert(told.tag, told);
        }
        _ => all.push(Told { settled: None, ..told }),
    }
}

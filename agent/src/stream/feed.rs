//! From bytes to a protocol and its messages.

use super::{State, Streams, Timed};
use crate::protocol::{DETECTORS, Detection, Part, Side, Step};
use crate::source::{Data, Direction, Role, Time};

/// Turns in which a connection that was joined midway may fail to look like any protocol before
/// it is left alone: enough for the rest of a body and the messages around it.
const STRANGE_TURNS: u32 = 16;
/// Parser steps for the bytes of one record. A record holds at most 32 KiB, a pipelined request
/// at least 18 bytes in a few steps; more than this is a parser that does not get on.
const MAX_STEPS: usize = 16 * 1024;

impl Streams {
    pub(super) fn feed(&mut self, data: &Data<'_>, out: &mut Vec<Timed>) {
        let half = match data.direction {
            Direction::Received => &mut self.received,
            Direction::Sent => &mut self.sent,
        };
        let Some(fresh) = half.fresh(data.position, data.bytes) else { return };
        // Whole messages in one record, the normal case, are parsed where they lie.
        let mut kept = half.take();
        let first = kept.as_ref().map_or(data.began(), |kept| kept.time);
        let bytes = match &mut kept {
            Some(kept) => {
                kept.bytes.extend_from_slice(fresh);
                kept.bytes.as_slice()
            }
            None => fresh,
        };
        let mut at = 0;
        for _ in 0..MAX_STEPS {
            let rest = &bytes[at..];
            let half = match data.direction {
                Direction::Received => &mut self.received,
                Direction::Sent => &mut self.sent,
            };
            if rest.is_empty() || half.quiet || matches!(self.state, State::Left) {
                half.understood += rest.len() as u64;
                at = bytes.len();
                break;
            }
            let time = if at == 0 { first } else { data.time };
            let Some(side) = self.recognise(data.direction, rest, time) else {
                if self.left() || self.half(data.direction).quiet {
                    continue;
                }
                break;
            };
            let half = match data.direction {
                Direction::Received => &mut self.received,
                Direction::Sent => &mut self.sent,
            };
            let State::Spoken(parser) = &mut self.state else { break };
            let position = half.understood;
            let step = parser.parse(side, position, rest, &mut self.parts);
            match step {
                Step::Took(n) if n > 0 => {
                    let n = n.min(rest.len());
                    half.understood += n as u64;
                    at += n;
                }
                Step::Skip(n) if n > 0 => {
                    let here = n.min(rest.len() as u64);
                    half.understood += n;
                    at += here as usize;
                }
                Step::Need => {
                    if half.keep(rest, time) {
                        self.drain_from(time, (data.position, data.began()), data.time, out);
                        return;
                    }
                    // Longer than any message head may be.
                    half.quiet = true;
                    self.parts.push(Part::Desync);
                    self.state = State::Left;
                    self.given_up = true;
                }
                Step::Took(_) | Step::Skip(_) => {
                    self.state = State::Left;
                }
                other => {
                    self.obey(data.direction, other);
                    let half = self.half(data.direction);
                    if other == Step::Mistaken && position == half.begins {
                        // The first bytes of a turn, which are judged anew.
                        half.quiet = false;
                    }
                }
            }
            let time = if position <= data.position { first } else { data.time };
            self.drain_from(time, (data.position, data.began()), data.time, out);
        }
        debug_assert!(at <= bytes.len());
    }

    /// Whose bytes these are, once the protocol is known; bytes that do not tell yet are kept.
    fn recognise(&mut self, direction: Direction, bytes: &[u8], time: Time) -> Option<Side> {
        let State::Unknown = self.state else { return self.side(direction) };
        let expected = match self.role {
            Some(Role::Client) if direction == Direction::Sent => Some(Side::Request),
            Some(Role::Server) if direction == Direction::Received => Some(Side::Request),
            Some(_) => Some(Side::Response),
            None => None,
        };
        let mut unsure = false;
        for detector in DETECTORS {
            let judge = if self.midway { detector.resume } else { detector.detect };
            match judge(bytes) {
                Detection::Is(side) if expected.is_none_or(|expected| expected == side) => {
                    if self.role.is_none() {
                        let client = (direction == Direction::Sent) == (side == Side::Request);
                        self.role = Some(if client { Role::Client } else { Role::Server });
                        self.inferred = true;
                    }
                    self.state = State::Spoken((detector.parser)());
                    self.protocol = Some(detector);
                    if self.midway {
                        // What the other side said before, and was kept, answers nothing of this.
                        self.half(direction.reverse()).forget();
                    }
                    return Some(side);
                }
                Detection::Unsure => unsure = true,
                Detection::Is(_) | Detection::IsNot => {}
            }
        }
        self.strange += u32::from(!unsure);
        let give_up = if self.midway { self.strange >= STRANGE_TURNS } else { !unsure };
        let half = self.half(direction);
        if give_up || (unsure && !half.keep(bytes, time)) {
            self.state = State::Left;
        } else if !unsure {
            // Something under way: perhaps the next turn begins with a message.
            half.quiet = true;
        }
        None
    }

    pub(super) fn obey(&mut self, direction: Direction, step: Step) {
        match step {
            Step::Skip(n) => self.half(direction).understood += n,
            Step::SkipTurn => self.half(direction).quiet = true,
            Step::Leave | Step::NotMine => self.state = State::Left,
            Step::GiveUp => {
                self.state = State::Left;
                self.given_up = true;
            }
            Step::Mistaken => self.mistaken(direction),
            Step::Took(_) | Step::Need => {}
        }
    }

    /// What was recognised was none.
    fn mistaken(&mut self, direction: Direction) {
        self.strange += 1;
        self.state = if self.strange < STRANGE_TURNS { State::Unknown } else { State::Left };
        self.protocol = None;
        if std::mem::take(&mut self.inferred) {
            self.role = None;
        }
        // What it kept was kept for another parser.
        self.half(direction.reverse()).forget();
        self.half(direction).quiet = true;
    }
}

//! A recording through a pipeline of its own, told what the live one was told, when it was told.

use std::io::Read;
use std::sync::Arc;

use super::Settings;
use crate::pipeline::Pipeline;
use crate::source::capture::file::OpenError;
use crate::source::recording::{Ending, File, Item, Next};
use crate::stats::{Loss, Stats, count};

/// A recording under way.
struct Playback<'a> {
    pipeline: Pipeline,
    stats: &'a Stats,
    /// What the kernel side had lost in all when it was last told, by reason.
    lost: Vec<(Loss, u64)>,
}

/// Reads a recording to its end, or until `spans` says that it has enough; it gets what is
/// finished. One warning if the file is damaged: what was read before counts.
///
/// # Errors
/// If the file cannot be read, or its header not.
pub(super) fn play(
    settings: &Settings,
    name: &str,
    reader: impl Read,
    mut spans: impl FnMut(&mut Pipeline) -> bool,
) -> Result<(), OpenError> {
    let mut file = File::open(reader)?;
    let pipeline = Pipeline::recorded(
        settings.selection.clone(),
        settings.tracer.fresh(),
        settings.request_timeout,
        Arc::clone(&settings.stats),
        file.offset(),
    );
    let mut playback = Playback { pipeline, stats: &settings.stats, lost: Vec::new() };
    let ending = loop {
        match file.record() {
            Ok(Next::Item(Item::End(ending))) => break Some(ending),
            Ok(Next::Item(item)) => playback.take(item),
            Ok(Next::Unknown) => settings.stats.lose(Loss::BadPacket, 1),
            Ok(Next::Nothing) => {
                eprintln!(
                    "tracebee: warning: {name}: the recording has no end: its agent was killed, \
                     or records still"
                );
                break None;
            }
            Err(damage) => {
                eprintln!("tracebee: warning: {name}: {damage}; the rest is not read");
                break None;
            }
        }
        if !spans(&mut playback.pipeline) {
            break None;
        }
    };
    if ending == Some(Ending::Stopped) {
        playback.pipeline.stop();
    } else {
        // How it went on nobody knows: what looks like an end need not be one.
        playback.pipeline.forget_connections();
    }
    spans(&mut playback.pipeline);
    Ok(())
}

impl Playback<'_> {
    fn take(&mut self, item: Item<'_>) {
        match item {
            Item::Event(event) => {
                count(&self.stats.events);
                self.pipeline.on(event);
                // What is in the file was captured, whatever is wished now.
                self.pipeline.wishes().for_each(drop);
            }
            Item::Refused(_) => count(&self.stats.events),
            Item::Tick(now) => self.pipeline.tick(now),
            Item::Anchor(offset) => self.pipeline.anchor(offset),
            Item::Process(resource) => self.pipeline.learn(resource),
            Item::Lost { reason, total } => self.lose(reason, total),
            Item::Unrecorded(total) => {
                self.lose(Loss::Unrecorded, total);
                self.pipeline.forget_connections();
                self.pipeline.wishes().for_each(drop);
            }
            Item::End(_) => {}
        }
    }

    /// Counts what was lost since the last time.
    fn lose(&mut self, reason: Loss, total: u64) {
        let known = self.lost.iter_mut().find(|(known, _)| *known == reason);
        let before = match known {
            Some((_, before)) => std::mem::replace(before, total),
            None => {
                self.lost.push((reason, total));
                0
            }
        };
        self.stats.lose(reason, total.saturating_sub(before));
    }
}

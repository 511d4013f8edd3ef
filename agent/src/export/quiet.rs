//! Log lines about lasting trouble, kept rare.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets a line pass now and then and counts those between.
#[derive(Debug)]
pub(super) struct Quiet {
    every: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    silenced: u64,
}

/// How many lines were held back since the last one; nothing to read if none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Silenced(u64);

impl Quiet {
    pub(super) fn new(every: Duration) -> Self {
        Quiet { every, state: Mutex::default() }
    }

    /// `Some` if the line may be written now.
    pub(super) fn say(&self) -> Option<Silenced> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| last.elapsed() < self.every) {
            state.silenced += 1;
            return None;
        }
        state.last = Some(Instant::now());
        Some(Silenced(std::mem::take(&mut state.silenced)))
    }

    /// The trouble is over: the next one is told at once. True if there was any.
    pub(super) fn end(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.silenced = 0;
        state.last.take().is_some()
    }
}

impl fmt::Display for Silenced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            n => write!(f, " ({n} more times since the last such line)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_then_silence_then_news() {
        let quiet = Quiet::new(Duration::from_secs(3600));
        assert!(!quiet.end());
        assert_eq!(quiet.say(), Some(Silenced(0)));
        assert_eq!(quiet.say(), None);
        assert!(quiet.end());
        assert_eq!(quiet.say(), Some(Silenced(0)));

        let always = Quiet::new(Duration::ZERO);
        assert_eq!(always.say(), Some(Silenced(0)));
        assert_eq!(Silenced(3).to_string(), " (3 more times since the last such line)");
    }
}

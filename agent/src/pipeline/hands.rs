//! The threads that a connection passes through.

use crate::source::Thread;

/// Who read and wrote on one connection last.
#[derive(Default)]
pub(super) struct Hands {
    /// Who began to send since the peer was last heard.
    sender: Thread,
    /// And nobody else did.
    alone: bool,
    sending: bool,
    /// Who has read the last request.
    pub(super) reader: Option<Thread>,
    /// Who has sent the last request, until the peer is heard.
    pub(super) asker: Option<Thread>,
}

impl Hands {
    /// A thread sent something.
    pub(super) fn sent(&mut self, thread: Thread) {
        if self.sending {
            self.alone &= self.sender == thread;
        } else {
            (self.sender, self.alone, self.sending) = (thread, true, true);
        }
    }

    /// Something was received.
    pub(super) fn received(&mut self) {
        self.sending = false;
    }

    /// Whether all that was sent since the peer was last heard is this thread's.
    pub(super) fn is_alone(&self, thread: Thread) -> bool {
        self.sending && self.alone && self.sender == thread
    }
}

//! Connections that are there when the agent stops: how far each has come, which without a stop its
//! next record would have told. Read once, when all other programs are detached: nothing changes.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_seq_write;
use tracebee_common::record::{self, FLAG_SENT, State, tcp};

use crate::{
    emit,
    socket::{self, Connection, SENT, Socket},
};

/// What an iterator's programs are given (`struct bpf_iter__bpf_map_elem` and
/// `bpf_iter__bpf_sk_storage_map`): pointers whose types the verifier knows.
#[derive(Clone, Copy)]
pub(crate) struct Context(*const *const u8);

impl Context {
    /// # Safety
    /// `context` is the argument of an iterator's program.
    #[inline(always)]
    pub(crate) unsafe fn new(context: *mut c_void) -> Self {
        Self(context.cast_const().cast())
    }

    /// The socket of a socket's storage, null after the last.
    #[inline(always)]
    pub(crate) fn socket(self) -> *const u8 {
        self.member(2)
    }

    /// The key of a table's element, null after the last.
    #[inline(always)]
    pub(crate) fn key(self) -> *const u64 {
        self.member(2).cast()
    }

    /// The value of either, null after the last.
    #[inline(always)]
    pub(crate) fn value<T>(self) -> *mut T {
        self.member(3).cast::<T>().cast_mut()
    }

    /// Hands bytes to whoever reads.
    #[inline(always)]
    fn write(self, bytes: &[u8]) -> bool {
        // SAFETY: the first member is a `struct bpf_iter_meta`, of which the first is the file.
        unsafe {
            let meta = self.member(0).cast::<*mut c_void>();
            let file = meta.read_volatile();
            bpf_seq_write(file.cast(), bytes.as_ptr().cast(), bytes.len() as u32) == 0
        }
    }

    #[inline(always)]
    fn member(self, number: usize) -> *const u8 {
        // SAFETY: both structures have four.
        unsafe { self.0.add(number).read_volatile() }
    }
}

/// Tells of a connection whose announcement may have found no room.
#[inline(always)]
pub(crate) fn announced<C: Connection>(context: Context, connection: &mut C) {
    let state = connection.state();
    if is_nobodys(state) {
        return;
    }
    // An element for which there is no room any more comes again: nothing may change by it.
    let number = state.number;
    let written = connection.announce(|bytes| context.write(bytes));
    let state = connection.state();
    state.number = number;
    if written {
        stands(context, state);
    }
}

/// Tells how far a connection has come.
#[inline(always)]
pub(crate) fn stands(context: Context, state: &mut Socket) {
    if is_nobodys(state) {
        return;
    }
    let number = state.number;
    let flags = if state.direction == SENT { FLAG_SENT } else { 0 };
    let record = State {
        header: emit::header(state, record::STATE, flags, emit::now()),
        sent: 0,
        received: 0,
        error: 0,
        old: tcp::UNCHANGED,
        new: tcp::UNCHANGED,
        reserved: 0,
        messages: state.messages,
        left_out: state.calls,
        reserved2: 0,
    };
    state.number = number;
    context.write(emit::as_bytes(&record));
}

/// True if nothing was told, or to be told, of it.
#[inline(always)]
fn is_nobodys(state: &mut Socket) -> bool {
    socket::news(state);
    state.number == 0 && state.calls == 0
}

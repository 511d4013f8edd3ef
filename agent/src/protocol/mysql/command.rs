//! What a client may ask, and the form of the answer.

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// There is none.
    Nothing,
    /// One packet: `OK`, `EOF` or `ERR`.
    One,
    /// One packet of text.
    Line,
    /// Results, each with rows or an `OK`.
    Results,
    /// Rows without anything before them.
    Rows,
    /// The number of a statement, and what its parameters and columns are.
    Statement,
    /// Descriptions of columns.
    Columns,
    /// Both sides go on until the client is, or is not, who it says.
    Login,
}

/// A command (`COM_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) code: u8,
    pub(super) form: Form,
    /// The protocol's name for it, where it makes a call of which that is all there is to say.
    pub(super) name: Option<&'static str>,
}

pub(super) const QUIT: u8 = 0x01;
pub(super) const INIT_DB: u8 = 0x02;
pub(super) const QUERY: u8 = 0x03;
pub(super) const STATISTICS: u8 = 0x09;
pub(super) const PING: u8 = 0x0e;
pub(super) const CHANGE_USER: u8 = 0x11;
pub(super) const PREPARE: u8 = 0x16;
pub(super) const EXECUTE: u8 = 0x17;
pub(super) const CLOSE: u8 = 0x19;
pub(super) const RESET_STATEMENT: u8 = 0x1a;
pub(super) const FETCH: u8 = 0x1c;
pub(super) const RESET_CONNECTION: u8 = 0x1f;
/// MariaDB: one statement, many sets of values.
pub(super) const EXECUTE_BULK: u8 = 0xfa;

/// Those that turn the connection into a stream of changes.
pub(super) fn replicates(code: u8) -> bool {
    matches!(code, 0x12 | 0x13 | 0x1e)
}

/// The command with this code; none if a client never sends it.
pub(super) fn command(code: u8) -> Option<Command> {
    let (form, name) = match code {
        QUIT | 0x18 | CLOSE => (Form::Nothing, None),
        INIT_DB => (Form::One, Some("COM_INIT_DB")),
        QUERY | EXECUTE | EXECUTE_BULK => (Form::Results, None),
        0x04 => (Form::Columns, Some("COM_FIELD_LIST")),
        0x05 => (Form::One, Some("COM_CREATE_DB")),
        0x06 => (Form::One, Some("COM_DROP_DB")),
        0x07 => (Form::One, Some("COM_REFRESH")),
        0x08 => (Form::One, Some("COM_SHUTDOWN")),
        STATISTICS => (Form::Line, None),
        0x0a => (Form::Results, Some("COM_PROCESS_INFO")),
        0x0c => (Form::One, Some("COM_PROCESS_KILL")),
        0x0d | PING | 0x15 | RESET_STATEMENT | 0x1b | RESET_CONNECTION => (Form::One, None),
        CHANGE_USER => (Form::Login, None),
        PREPARE => (Form::Statement, None),
        FETCH => (Form::Rows, None),
        _ => return None,
    };
    Some(Command { code, form, name })
}

impl Command {
    /// True if it makes a call, if only when it fails.
    pub(super) fn is_call(self) -> bool {
        let texts = matches!(self.code, QUERY | PREPARE | EXECUTE | EXECUTE_BULK | FETCH);
        texts || self.name.is_some()
    }
}

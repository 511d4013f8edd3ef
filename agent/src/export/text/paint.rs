//! The few colours of the text output: the terminal's own sixteen, which follow its theme.

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Dim,
    Bold,
    Good,
    Warn,
    Error,
    Server,
    Client,
    /// One of [`NAME_COLOURS`].
    Name(u8),
}

/// Colours of service names; red, green and yellow mean a status already.
const NAME_COLOURS: [&str; 6] = ["36", "35", "34", "96", "95", "94"];

impl Style {
    /// The same name always has the same colour.
    pub(crate) fn of_name(name: &str) -> Style {
        let sum =
            name.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        Style::Name((sum % NAME_COLOURS.len() as u32) as u8)
    }

    /// Parameters of the SGR escape sequence (ECMA-48 8.3.117).
    fn code(self) -> &'static str {
        match self {
            Style::Plain => "",
            Style::Dim => "2",
            Style::Bold => "1",
            Style::Good => "32",
            Style::Warn => "33",
            Style::Error => "1;31",
            Style::Server => "36",
            Style::Client => "35",
            Style::Name(i) => NAME_COLOURS[usize::from(i)],
        }
    }
}

/// Appends `text`, in colour if `colour`.
pub(crate) fn paint(out: &mut String, style: Style, text: &str, colour: bool) {
    let code = style.code();
    if !colour || code.is_empty() {
        out.push_str(text);
        return;
    }
    out.push_str("\x1b[");
    out.push_str(code);
    out.push('m');
    out.push_str(text);
    out.push_str("\x1b[0m");
}

//! The table of commands.

use super::super::commands::{COMMANDS, Command, LONGEST, SUBCOMMANDS};

#[test]
fn is_sorted_and_in_capitals() {
    assert!(COMMANDS.is_sorted_by(|one, other| one.name < other.name));
    assert!(SUBCOMMANDS.is_sorted_by(|one, other| one.0 < other.0));
    let families = SUBCOMMANDS.iter().flat_map(|(name, members)| members.iter().chain([name]));
    for name in COMMANDS.iter().map(|command| &command.name).chain(families) {
        assert!(name.len() <= LONGEST && !name.bytes().any(|c| c.is_ascii_lowercase()), "{name}");
    }
}

#[test]
fn is_found_in_any_case() {
    assert_eq!(Command::named(b"gEt").unwrap().name, "GET");
    assert_eq!(Command::named(b"GETT"), None);
    assert_eq!(Command::named(&[b'A'; 1000]), None);
    let client = Command::named(b"client").unwrap();
    assert_eq!(client.subcommand(b"SetInfo"), Some("SETINFO"));
    assert_eq!(client.subcommand(b"SECRET"), None);
}

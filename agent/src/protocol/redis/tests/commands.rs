//! The table of commands.

use super::super::commands::{COMMANDS, Command, LONGEST, SUBCOMMANDS};
use super::super::replies::{AGGREGATES, INTEGERS, STATUSES, TEXTS};

#[test]
fn is_sorted_and_in_capitals() {
    assert!(COMMANDS.is_sorted_by(|one, other| one.name < other.name));
    assert!(SUBCOMMANDS.is_sorted_by(|one, other| one.0 < other.0));
    let families = SUBCOMMANDS.iter().flat_map(|(name, members)| members.iter().chain([name]));
    for name in COMMANDS.iter().map(|command| &command.name).chain(families) {
        assert!(name.len() <= LONGEST && !name.bytes().any(|c| c.is_ascii_lowercase()), "{name}");
    }
}

/// Each command with a known reply exists, and has one.
#[test]
fn replies_are_of_commands() {
    let lists = [TEXTS, STATUSES, INTEGERS, AGGREGATES];
    let mut all = lists.concat();
    assert!(lists.iter().all(|list| list.is_sorted()));
    all.sort_unstable();
    assert!(all.iter().all(|name| Command::named(name.as_bytes()).is_some()));
    assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
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

//! The words of SQL that mean something to a summary.

use std::cmp::Ordering;

/// Whether a word is this keyword.
pub(super) fn is(word: &[u8], keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword.as_bytes())
}

/// Whether a word is one of these keywords.
pub(super) fn any(word: &[u8], keywords: &[&str]) -> bool {
    keywords.iter().any(|keyword| is(word, keyword))
}

/// The same of many, which are sorted.
pub(super) fn is_one_of(word: &[u8], sorted: &[&str]) -> bool {
    let compare = |keyword: &&str| -> Ordering {
        keyword.bytes().cmp(word.iter().map(u8::to_ascii_uppercase))
    };
    sorted.binary_search_by(compare).is_ok()
}

/// False if a word that is neither a command nor a name means nothing: most are names of columns,
/// which are told by how long they are and what they begin with.
pub(super) fn means_something(word: &[u8]) -> bool {
    let Some(first) = word.first() else { return false };
    let letter = usize::from(first.to_ascii_uppercase().wrapping_sub(b'A'));
    let lengths = SHAPES.get(letter).copied().unwrap_or_default();
    word.len() < 32 && lengths >> word.len() & 1 != 0
}

/// For each letter, the lengths of words that begin with it, as bits.
static SHAPES: [u32; 26] = {
    let mut shapes = [0; 26];
    let lists = [CLAUSES, INSIDE];
    let mut list = 0;
    while list < lists.len() {
        let mut n = 0;
        while n < lists[list].len() {
            let word = lists[list][n].as_bytes();
            shapes[(word[0] - b'A') as usize] |= 1 << word.len();
            n += 1;
        }
        list += 1;
    }
    shapes
};

/// Words inside a statement that lead to names, or to a statement within it.
const INSIDE: &[&str] = &[
    "AS",
    "BEGIN",
    "DELETE",
    "FROM",
    "INSERT",
    "INTO",
    "JOIN",
    "MERGE",
    "SELECT",
    "STRAIGHT_JOIN",
    "TO",
    "UPDATE",
    "USING",
];

/// Words that end a list of tables.
pub(super) const CLAUSES: &[&str] = &[
    "WHERE",
    "GROUP",
    "ORDER",
    "HAVING",
    "LIMIT",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "WINDOW",
    "OFFSET",
    "FETCH",
    "RETURNING",
    "SET",
    "VALUES",
    "FOR",
    "WHEN",
];

/// Commands of PostgreSQL 18 and MySQL 9 (their lists of SQL statements). A text that begins with
/// anything else has no summary: nobody knows what it is.
pub(super) const VERBS: &[&str] = &[
    "ABORT",
    "ALTER",
    "ANALYZE",
    "BEGIN",
    "CALL",
    "CHECKPOINT",
    "CLOSE",
    "CLUSTER",
    "COMMENT",
    "COMMIT",
    "COPY",
    "CREATE",
    "DEALLOCATE",
    "DECLARE",
    "DELETE",
    "DESC",
    "DESCRIBE",
    "DISCARD",
    "DO",
    "DROP",
    "END",
    "EXEC",
    "EXECUTE",
    "EXPLAIN",
    "FETCH",
    "FLUSH",
    "GRANT",
    "HANDLER",
    "IMPORT",
    "INSERT",
    "INSTALL",
    "KILL",
    "LISTEN",
    "LOAD",
    "LOCK",
    "MERGE",
    "MOVE",
    "NOTIFY",
    "OPTIMIZE",
    "PREPARE",
    "PURGE",
    "REASSIGN",
    "REFRESH",
    "REINDEX",
    "RELEASE",
    "RENAME",
    "REPAIR",
    "REPLACE",
    "RESET",
    "REVOKE",
    "ROLLBACK",
    "SAVEPOINT",
    "SECURITY",
    "SELECT",
    "SET",
    "SHOW",
    "START",
    "TABLE",
    "TRUNCATE",
    "UNINSTALL",
    "UNLISTEN",
    "UNLOCK",
    "UPDATE",
    "USE",
    "VACUUM",
    "VALUES",
    "WITH",
    "XA",
];

/// Kinds of objects.
pub(super) const KINDS: &[&str] = &[
    "AGGREGATE",
    "CAST",
    "COLLATION",
    "CONVERSION",
    "DATABASE",
    "DOMAIN",
    "EVENT",
    "EXTENSION",
    "FUNCTION",
    "GROUP",
    "INDEX",
    "LANGUAGE",
    "OPERATOR",
    "POLICY",
    "PROCEDURE",
    "PUBLICATION",
    "ROLE",
    "ROUTINE",
    "RULE",
    "SCHEMA",
    "SEQUENCE",
    "SERVER",
    "STATISTICS",
    "SUBSCRIPTION",
    "SYSTEM",
    "TABLE",
    "TABLESPACE",
    "TRIGGER",
    "TYPE",
    "USER",
    "VIEW",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_are_searched_are_sorted() {
        for list in [VERBS, KINDS] {
            assert!(list.is_sorted());
            for word in list {
                assert!(is_one_of(word.to_lowercase().as_bytes(), list), "{word}");
            }
        }
        assert!(
            !is_one_of(b"", VERBS) && !is_one_of(b"SELEC", VERBS) && !is_one_of(b"SELECTS", VERBS)
        );
    }

    #[test]
    fn words_that_mean_something() {
        for word in CLAUSES.iter().chain(INSIDE) {
            assert!(means_something(word.as_bytes()), "{word}");
            assert!(means_something(word.to_lowercase().as_bytes()), "{word}");
        }
        for name in ["", "id", "customer_id", "_x", "\u{e9}t\u{e9}", &"f".repeat(64)] {
            assert!(!means_something(name.as_bytes()), "{name}");
        }
    }
}

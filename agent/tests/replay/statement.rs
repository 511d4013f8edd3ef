//! What the span of a call to an SQL database says.

use tracebee::trace::{Kind, Span};

use crate::outcome::{int, replay, text};
use crate::recorded::Recorded;

/// Rows that an answer brought, and rows that were written.
pub(crate) type Rows = [Option<i64>; 2];

/// All that is said of it that may differ where not all of it was seen.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) end: u64,
    pub(crate) error: bool,
    pub(crate) name: String,
    pub(crate) system: String,
    pub(crate) namespace: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) rows: Rows,
    pub(crate) batch: Option<i64>,
    pub(crate) cut: bool,
}

impl Statement {
    fn of(span: &Span) -> Self {
        let owned = |key| text(span, key).map(str::to_owned);
        Self {
            end: span.end,
            error: span.error,
            name: span.name.to_string(),
            system: owned("db.system.name").expect("a system"),
            namespace: owned("db.namespace"),
            text: owned("db.query.text"),
            code: owned("db.response.status_code"),
            rows: ["db.response.returned_rows", "tracebee.db.affected_rows"]
                .map(|key| int(span, key)),
            batch: int(span, "db.operation.batch.size"),
            cut: span.attribute("tracebee.db.response_cut").is_some(),
        }
    }
}

/// The statements of a recording of nothing else.
pub(crate) fn all(recorded: &Recorded) -> Vec<Statement> {
    let spans = replay(&[recorded.file]).spans;
    assert!(spans.iter().all(|span| span.kind == Kind::Client));
    let statements: Vec<Statement> = spans.iter().map(Statement::of).collect();
    let texts = || statements.iter().filter_map(|statement| statement.text.as_ref());
    assert!(texts().all(|text| !text.contains("secret")));
    statements
}

/// Holds that a span says nothing but what the true one does. `without_text`: what is said of rows
/// where the text of the statement is not known.
pub(crate) fn says(found: &Span, real: &Span, without_text: fn(Rows) -> Rows, context: &str) {
    let [seen, real] = [found, real].map(Statement::of);
    let known = seen.text.is_some();
    assert!(
        !known || (seen.text == real.text && seen.name == real.name),
        "{context}: {seen:?}, not {real:?}"
    );
    assert_eq!(seen.end, real.end, "{context}: {seen:?}");
    let namespace = seen.namespace.is_none() || seen.namespace == real.namespace;
    assert!(namespace, "{context}: {seen:?}, not {real:?}");
    let rows = |of: &Statement| match known {
        true => of.rows,
        false => without_text(of.rows),
    };
    // What is told of an answer that was not seen whole is all there is.
    let told = rows(&seen).iter().zip(rows(&real)).all(|(n, m)| n.is_none() || *n == m);
    assert!(told || real.cut && real.rows == [None; 2], "{context}: {seen:?}, not {real:?}");
    if !seen.cut {
        let outcome = |of: &Statement| (of.error, of.code.clone(), rows(of), of.cut);
        assert_eq!(outcome(&seen), outcome(&real), "{context}: {seen:?}");
    }
}

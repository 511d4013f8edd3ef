//! What a statement does to what: `SELECT users orders`.
//!
//! Not a parser: it follows the few words after which SQL names a table, level of parentheses by
//! level. What it does not know it leaves out.

use std::ops::Range;
use std::sync::Arc;

use super::Statement;
use super::lexer::Token;
use super::words::{CLAUSES, KINDS, VERBS, any, is, is_one_of, means_something};

/// Longest summary (semantic conventions 1.44), cut between words.
const MAX_SUMMARY: usize = 255;
/// Parentheses within each other that are followed; people write about ten, generators some more.
const MAX_DEPTH: usize = 64;

/// What the next word is expected to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Nothing,
    /// The command that a statement begins with.
    Verb,
    /// A name.
    Target(Target),
    /// After `CREATE`, `ALTER`, `DROP`: a kind of object.
    Kind,
}

/// What a name is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Table,
    Procedure,
    /// Anything else.
    Object,
}

/// One level of parentheses.
#[derive(Clone, Copy)]
struct Level {
    /// A `FROM` names tables here.
    from: bool,
    /// In the list of tables.
    tables: bool,
    /// Names go on after a comma: `DROP TABLE a, b`.
    list: Option<Target>,
    /// What is wanted again behind the closing parenthesis.
    after: Want,
}

const LEVEL: Level = Level { from: false, tables: false, list: None, after: Want::Nothing };

/// Collects the summary of a text, token by token.
pub(super) struct Summary<'a> {
    text: &'a [u8],
    cut: bool,
    out: String,
    /// There was more than fits.
    full: bool,
    levels: Vec<Level>,
    level: Level,
    want: Want,
    /// The command that the statement began with.
    verb: &'a [u8],
    /// The statement began with `WITH`, and its own command has not come.
    with: bool,
    statements: u32,
    operations: u32,
    targets: u32,
    /// The first operation ends here in `out`, and begins with it.
    operation: usize,
    /// The first target, in `out`, and of what it is.
    target: Option<(Range<usize>, Target)>,
    /// A name under way.
    name: Option<(Range<usize>, Target)>,
    /// The name goes on: a dot was its last byte.
    dotted: bool,
    /// The words before, the last one first.
    words: [&'a [u8]; 2],
    last: Option<Token>,
    /// In the body of a procedure, to the end of the text: what it does, it does when it is called.
    body: bool,
    /// Values of settings follow: `SET x = y`.
    setting: bool,
    value: bool,
}

impl<'a> Summary<'a> {
    pub(super) fn new(text: &'a [u8], cut: bool) -> Self {
        Self {
            text,
            cut,
            out: String::new(),
            full: false,
            levels: Vec::new(),
            level: LEVEL,
            want: Want::Verb,
            verb: b"",
            with: false,
            statements: 0,
            operations: 0,
            targets: 0,
            operation: 0,
            target: None,
            name: None,
            dotted: false,
            words: [b"", b""],
            last: None,
            body: false,
            setting: false,
            value: false,
        }
    }

    /// True if the next word is the value of a setting.
    pub(super) fn is_setting(&self) -> bool {
        self.value
    }

    /// The next token that is neither space nor comment.
    pub(super) fn token(&mut self, token: Token, range: Range<usize>) {
        if self.continues_name(token, &range) {
            self.last = Some(token);
            return;
        }
        self.end_name(token == Token::Other(b'('));
        if token != Token::Other(b';') && self.verb.is_empty() && self.levels.is_empty() {
            let begins = self.want == Want::Verb && self.last_ended() && !self.body;
            self.statements += u32::from(begins);
        }
        match token {
            Token::Word => self.word(range),
            Token::Quoted => {
                if let Want::Target(target) = self.want {
                    self.begin_name(range, target);
                }
                self.no_verb();
            }
            Token::Other(byte) => self.mark(byte),
            Token::Number | Token::String | Token::Parameter => {
                if matches!(self.want, Want::Target(_)) {
                    self.want = Want::Nothing;
                }
                self.no_verb();
            }
            Token::Space | Token::Comment => {}
        }
        self.last = Some(token);
    }

    /// True at the first token of a statement.
    fn last_ended(&self) -> bool {
        matches!(self.last, None | Some(Token::Other(b';')))
    }

    /// What is no word begins no statement.
    fn no_verb(&mut self) {
        if self.want == Want::Verb {
            self.want = Want::Nothing;
        }
    }

    fn mark(&mut self, byte: u8) {
        match byte {
            b'(' => self.open(),
            b')' => {
                if let Some(level) = self.levels.pop() {
                    self.want = self.level.after;
                    self.level = level;
                }
            }
            b',' => {
                self.value = false;
                if self.level.tables {
                    self.want = Want::Target(Target::Table);
                } else if let Some(target) = self.level.list {
                    self.want = Want::Target(target);
                }
            }
            b';' => {
                self.levels.clear();
                self.level = LEVEL;
                self.want = Want::Verb;
                (self.verb, self.with) = (b"", false);
                (self.setting, self.value) = (false, false);
            }
            b'=' => self.value = self.setting,
            _ => {}
        }
    }

    fn open(&mut self) {
        if self.levels.len() >= MAX_DEPTH {
            // Nothing after this is understood.
            self.full = true;
            return;
        }
        let explain = is(self.verb, "EXPLAIN");
        let inner = match self.want {
            Want::Verb if !explain => Want::Verb,
            _ => Want::Nothing,
        };
        let after = if self.want == Want::Verb && explain { Want::Verb } else { Want::Nothing };
        self.level.list = None;
        self.levels.push(self.level);
        self.level = Level { after, ..LEVEL };
        self.want = inner;
    }

    fn word(&mut self, range: Range<usize>) {
        let word = &self.text[range.clone()];
        if self.cut && range.end == self.text.len() {
            // Who knows how it goes on.
            return;
        }
        match self.want {
            Want::Verb => self.verb(word),
            Want::Kind => self.kind(word),
            Want::Target(target) => {
                if any(word, &["SELECT"]) {
                    self.select(word);
                } else if !self.comes_before_name(word) {
                    self.begin_name(range, target);
                }
            }
            Want::Nothing if means_something(word) => self.inside(word),
            Want::Nothing => {}
        }
        self.words = [word, self.words[0]];
    }

    fn comes_before_name(&self, word: &[u8]) -> bool {
        any(word, &["ONLY", "INTO", "LATERAL", "IF", "NOT", "EXISTS", "CONCURRENTLY", "IGNORE"])
            || any(word, &["LOW_PRIORITY", "HIGH_PRIORITY", "QUICK", "DELAYED", "OVERWRITE"])
            || (is(word, "TABLE") && any(self.verb, &["TRUNCATE", "LOAD"]))
    }

    /// The command of a statement, or of the one within it.
    fn verb(&mut self, word: &'a [u8]) {
        if self.verb.is_empty() {
            self.verb = word;
        }
        self.want = Want::Nothing;
        if is(word, "SELECT") {
            return self.select(word);
        }
        if is(word, "WITH") {
            self.with = true;
            return;
        }
        if is(self.verb, "EXPLAIN") && any(word, &["ANALYZE", "ANALYSE", "VERBOSE"]) {
            self.want = Want::Verb;
            return;
        }
        if !is_one_of(word, VERBS) {
            return;
        }
        self.with &= !self.levels.is_empty();
        self.operation(word);
        let table = Want::Target(Target::Table);
        self.want = if any(word, &["INSERT", "REPLACE", "MERGE", "COPY", "TABLE"]) {
            table
        } else if is(word, "UPDATE") {
            self.level.from = true;
            table
        } else if is(word, "DELETE") {
            self.level.from = true;
            Want::Nothing
        } else if is(word, "TRUNCATE") {
            self.level.list = Some(Target::Table);
            table
        } else if any(word, &["CREATE", "ALTER", "DROP"]) {
            Want::Kind
        } else if any(word, &["CALL", "EXEC", "EXECUTE"]) {
            Want::Target(Target::Procedure)
        } else if is(word, "EXPLAIN") {
            Want::Verb
        } else {
            self.setting = is(word, "SET");
            Want::Nothing
        };
    }

    fn select(&mut self, word: &[u8]) {
        self.with &= !self.levels.is_empty();
        self.operation(word);
        self.level.from = true;
        self.level.tables = false;
        self.want = Want::Nothing;
    }

    /// `TABLE` of `CREATE UNLOGGED TABLE IF NOT EXISTS`.
    fn kind(&mut self, word: &[u8]) {
        if !is_one_of(word, KINDS) {
            return;
        }
        self.push(word);
        if self.operations == 1 && self.targets == 0 {
            self.operation = self.out.len();
        }
        let target = if is(word, "TABLE") { Target::Table } else { Target::Object };
        self.want = Want::Target(target);
        self.level.list = is(self.verb, "DROP").then_some(target);
    }

    /// A word that is neither a command nor a name.
    fn inside(&mut self, word: &'a [u8]) {
        let table = Want::Target(Target::Table);
        if is(word, "SELECT") {
            self.select(word);
        } else if is(word, "FROM") {
            let distinct = is(self.words[0], "DISTINCT") && any(self.words[1], &["IS", "NOT"]);
            if self.level.from && !distinct {
                self.level.from = false;
                self.level.tables = true;
                self.want = table;
            }
        } else if any(word, &["JOIN", "STRAIGHT_JOIN", "USING"]) {
            let merge = is(self.verb, "MERGE") && is(word, "USING");
            if self.level.tables || merge {
                self.want = table;
            }
        } else if any(word, CLAUSES) {
            self.level.tables = false;
            self.setting |= is(word, "SET") && is(self.verb, "ALTER");
        } else if any(word, &["INSERT", "UPDATE", "DELETE", "MERGE"]) {
            if self.last == Some(Token::Other(b'(')) || (self.with && self.levels.is_empty()) {
                self.verb(word);
            }
        } else if is(word, "INTO") && is(self.verb, "LOAD") {
            self.want = table;
        } else if is(word, "BEGIN") && is(self.verb, "CREATE") {
            (self.body, self.full) = (true, true);
        } else if is(word, "AS") && is(self.verb, "PREPARE") && self.levels.is_empty() {
            self.want = Want::Verb;
        } else if is(word, "TO") {
            self.value = self.setting;
        }
    }

    fn operation(&mut self, word: &[u8]) {
        self.push(word);
        self.operations += 1;
        if self.operations == 1 {
            self.operation = self.out.len();
        }
    }

    fn begin_name(&mut self, range: Range<usize>, target: Target) {
        self.name = Some((range, target));
        self.want = Want::Nothing;
    }

    /// Whether a token goes on with the name under way: `public . users` without the spaces.
    fn continues_name(&mut self, token: Token, range: &Range<usize>) -> bool {
        let Some((name, _)) = &mut self.name else { return false };
        let goes_on = match token {
            Token::Other(b'.') => !std::mem::replace(&mut self.dotted, true),
            Token::Word | Token::Quoted => std::mem::take(&mut self.dotted),
            _ => false,
        };
        let touches = name.end == range.start;
        if goes_on && touches {
            name.end = range.end;
        }
        goes_on && touches
    }

    fn end_name(&mut self, called: bool) {
        self.dotted = false;
        let Some((range, target)) = self.name.take() else { return };
        let open = self.cut && range.end == self.text.len();
        if open || !matches!(self.text.get(range.end - 1), Some(byte) if *byte != b'.') {
            return;
        }
        // In a list of tables, what is called is a function.
        let function = called && self.level.tables;
        let target = if function { Target::Object } else { target };
        let start = self.out.len() + 1;
        self.push(&self.text[range]);
        self.targets += 1;
        if self.targets == 1 {
            self.target = Some((start..self.out.len(), target));
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let space = usize::from(!self.out.is_empty());
        if self.full || self.out.len() + space + text.len() > MAX_SUMMARY {
            self.full = true;
            return;
        }
        if space > 0 {
            self.out.push(' ');
        }
        self.out.push_str(&text);
    }

    /// The statement with this masked text.
    pub(super) fn finish(mut self, text: String) -> Statement {
        self.end_name(false);
        let whole = !self.cut && !self.full;
        let single = whole && self.statements == 1 && self.operations == 1;
        let operation = single.then(|| self.out[..self.operation].into());
        let target = self.target.filter(|_| single && self.targets == 1);
        let named = |wanted: Target| {
            let (range, target) = target.clone()?;
            (target == wanted).then(|| Arc::from(&self.out[range]))
        };
        Statement {
            text: text.into(),
            operation,
            collection: named(Target::Table),
            procedure: named(Target::Procedure),
            statements: self.statements,
            summary: self.out.into(),
        }
    }
}

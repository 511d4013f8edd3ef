#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod leaks;
mod masks;
mod summaries;
mod vectors;

use super::{Dialect, Statement};

fn postgres(text: &str) -> Statement {
    Statement::read(text.as_bytes(), Dialect::POSTGRES, false)
}

fn mysql(text: &str) -> Statement {
    Statement::read(text.as_bytes(), Dialect::MYSQL, false)
}

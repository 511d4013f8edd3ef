//! Texts of any dialect, cut anywhere.

#![no_main]

use tracebee::sql::{Dialect, Statement};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for dialect in [Dialect::STANDARD, Dialect::POSTGRES, Dialect::MYSQL] {
        let statement = Statement::read(data, dialect, data.len() % 2 == 1);
        assert!(statement.summary.len() <= 255);
    }
});

//! The answer to `COM_STMT_PREPARE`: a number, and what parameters and columns are.

use super::{Agreed, Answer, CATALOG, Said, Stage};

impl Answer {
    pub(super) fn statement<'a>(&mut self, agreed: Agreed, length: usize, body: &[u8]) -> Said<'a> {
        let eof = agreed.eof.or(self.eof);
        match self.stage {
            Stage::First => {
                let &[0, a, b, c, d, e, f, g, h, 0, _, _, ref rest @ ..] = body else {
                    return Said::Strange;
                };
                let columns = u32::from(u16::from_le_bytes([e, f]));
                let parameters = u32::from(u16::from_le_bytes([g, h]));
                if length > 13 {
                    return Said::Strange;
                }
                let id = u32::from_le_bytes([a, b, c, d]);
                let undescribed = agreed.optional_metadata && rest.first() == Some(&0);
                let nothing = undescribed || (columns == 0 && parameters == 0);
                self.stage = match parameters {
                    0 => Stage::ResultColumns(columns),
                    parameters => Stage::Parameters(parameters, columns),
                };
                Said::Prepared { id, over: nothing }
            }
            Stage::AfterParameters(columns) if body.first() == Some(&0xfe) && length == 5 => {
                self.eof = Some(true);
                if columns == 0 {
                    return Said::Over(None);
                }
                self.stage = Stage::ResultColumns(columns);
                Said::On
            }
            Stage::AfterResultColumns if body.first() == Some(&0xfe) && length == 5 => {
                Said::Over(None)
            }
            Stage::AfterParameters(columns) => {
                self.eof = Some(false);
                self.stage = Stage::ResultColumns(columns);
                self.statement(agreed, length, body)
            }
            _ if !body.starts_with(CATALOG) => Said::Strange,
            Stage::Parameters(left, columns) if left > 1 => {
                self.stage = Stage::Parameters(left - 1, columns);
                Said::On
            }
            Stage::Parameters(_, 0) => self.last_description(eof),
            Stage::Parameters(_, columns) => {
                self.stage = match eof {
                    Some(false) => Stage::ResultColumns(columns),
                    _ => Stage::AfterParameters(columns),
                };
                Said::On
            }
            Stage::ResultColumns(left) if left > 1 => {
                self.stage = Stage::ResultColumns(left - 1);
                Said::On
            }
            Stage::ResultColumns(_) => self.last_description(eof),
            _ => Said::Strange,
        }
    }

    /// An `EOF` follows, or nothing. Where that is not known the answer is over: it makes no call,
    /// and an `EOF` that follows after all is known by its number.
    fn last_description<'a>(&mut self, eof: Option<bool>) -> Said<'a> {
        self.stage = Stage::AfterResultColumns;
        match eof {
            Some(true) => Said::On,
            _ => Said::Over(None),
        }
    }
}

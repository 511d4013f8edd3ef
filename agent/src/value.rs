//! Values of attributes, of spans and of the resources that they belong to.

use std::sync::Arc;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text known at compile time.
    Static(&'static str),
    /// Text of this span.
    Text(Box<str>),
    /// Text shared by many spans.
    Shared(Arc<str>),
    /// A number.
    Int(i64),
    /// A truth.
    Bool(bool),
}

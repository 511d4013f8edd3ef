//! Captures that are made up, byte by byte, and apart from the code that reads them: what is in
//! them is known.

pub mod files;
pub mod generator;
pub mod message;
pub mod random;
pub mod talk;
pub mod wire;

//! Captures with known contents, through the whole path from file to span.

mod cli;
mod fixture;
mod formats;
mod fuzz;
mod live;
mod outcome;
mod property;
mod recording;
mod seeds;
mod traps;

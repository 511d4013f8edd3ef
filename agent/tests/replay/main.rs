//! Captures with known contents, through the whole path from file to span.

mod cli;
mod files;
mod fixture;
mod formats;
mod fuzz;
mod generator;
mod live;
mod outcome;
mod postgres;
mod property;
mod random;
mod recording;
mod redis;
mod talk;
mod traps;
mod wire;

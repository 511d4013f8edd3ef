//! Captures with known contents, through the whole path from file to span.

mod cli;
mod fixture;
mod formats;
mod fuzz;
mod live;
mod mysql;
mod outcome;
mod packets;
mod postgres;
mod property;
mod rabbitmq;
mod recorded;
mod recording;
mod redis;
mod search;
mod seeds;
mod statement;
mod traps;

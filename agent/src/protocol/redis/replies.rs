//! What commands are answered with.
//!
//! While all bytes are seen, the order of replies says whose they are, and nothing of this is
//! looked at. With bytes missing, a reply that no server gives to the command it would belong to
//! proves that they are not paired.

use super::resp::Item;

/// How the reply to a command begins, unless it is an error or the command was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nothing is known.
    Any,
    /// A line of text.
    Status,
    /// An integer.
    Integer,
    /// A string, or none.
    Text,
    /// An aggregate, or none.
    Aggregate,
}

impl Shape {
    /// That of the command of this name, in capitals.
    pub(super) fn of(name: &str) -> Self {
        let shape = |list: &[&str]| list.binary_search(&name).is_ok();
        match () {
            () if shape(TEXTS) => Shape::Text,
            () if shape(STATUSES) => Shape::Status,
            () if shape(INTEGERS) => Shape::Integer,
            () if shape(AGGREGATES) => Shape::Aggregate,
            () => Shape::Any,
        }
    }

    /// True if a reply may begin with `item`; what it says of itself in front of it may be anything.
    pub(super) fn fits(self, item: Item<'_>) -> bool {
        match item {
            Item::Error(_) | Item::LongLine { error: true, .. } => return true,
            Item::Simple(b"QUEUED") | Item::Attribute(_) => return true,
            _ => {}
        }
        match self {
            Shape::Any => true,
            Shape::Status => matches!(item, Item::Simple(_) | Item::LongLine { .. }),
            Shape::Integer => matches!(item, Item::Integer(_)),
            Shape::Text => matches!(item, Item::Bulk(_) | Item::Chunks | Item::Scalar),
            Shape::Aggregate => {
                matches!(item, Item::Aggregate { .. } | Item::Stream { .. } | Item::Scalar)
            }
        }
    }
}

/// Sorted, like those below.
pub(super) const TEXTS: &[&str] = &[
    "DUMP",
    "ECHO",
    "GET",
    "GETDEL",
    "GETEX",
    "GETRANGE",
    "GETSET",
    "HGET",
    "LINDEX",
    "LMOVE",
    "RANDOMKEY",
    "RPOPLPUSH",
    "SUBSTR",
    "XADD",
];

pub(super) const STATUSES: &[&str] = &[
    "AUTH", "FLUSHALL", "FLUSHDB", "HMSET", "LSET", "LTRIM", "MSET", "MULTI", "PFMERGE", "PSETEX",
    "RENAME", "RESTORE", "SETEX", "SWAPDB", "TYPE", "UNWATCH", "WATCH",
];

pub(super) const INTEGERS: &[&str] = &[
    "APPEND",
    "BITCOUNT",
    "BITOP",
    "BITPOS",
    "DBSIZE",
    "DECR",
    "DECRBY",
    "DEL",
    "EXISTS",
    "EXPIRE",
    "EXPIREAT",
    "EXPIRETIME",
    "GETBIT",
    "HDEL",
    "HEXISTS",
    "HINCRBY",
    "HLEN",
    "HSETNX",
    "HSTRLEN",
    "INCR",
    "INCRBY",
    "LINSERT",
    "LLEN",
    "LPUSH",
    "LPUSHX",
    "LREM",
    "MOVE",
    "MSETNX",
    "PERSIST",
    "PEXPIRE",
    "PEXPIREAT",
    "PEXPIRETIME",
    "PFADD",
    "PFCOUNT",
    "PTTL",
    "PUBLISH",
    "RENAMENX",
    "RPUSH",
    "RPUSHX",
    "SADD",
    "SCARD",
    "SDIFFSTORE",
    "SETBIT",
    "SETNX",
    "SETRANGE",
    "SINTERSTORE",
    "SMOVE",
    "SPUBLISH",
    "SREM",
    "STRLEN",
    "SUNIONSTORE",
    "TOUCH",
    "TTL",
    "UNLINK",
    "XACK",
    "XDEL",
    "XLEN",
    "XTRIM",
    "ZCARD",
    "ZCOUNT",
    "ZLEXCOUNT",
    "ZREM",
    "ZREMRANGEBYLEX",
    "ZREMRANGEBYRANK",
    "ZREMRANGEBYSCORE",
    "ZUNIONSTORE",
];

pub(super) const AGGREGATES: &[&str] = &[
    "HGETALL",
    "HKEYS",
    "HMGET",
    "HSCAN",
    "HVALS",
    "KEYS",
    "LRANGE",
    "MGET",
    "SCAN",
    "SDIFF",
    "SINTER",
    "SMEMBERS",
    "SMISMEMBER",
    "SSCAN",
    "SUNION",
    "TIME",
    "XRANGE",
    "XREVRANGE",
    "ZMSCORE",
    "ZRANGE",
    "ZRANGEBYLEX",
    "ZRANGEBYSCORE",
    "ZREVRANGE",
    "ZREVRANGEBYSCORE",
    "ZSCAN",
];

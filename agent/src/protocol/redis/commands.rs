//! The commands of Redis, Valkey and Sentinel: what `COMMAND` says of them that matters here.
//!
//! A name that is not here is shown nowhere (an administrator may have renamed a command to a
//! secret), except those of modules, which have a dot.

/// Which arguments are names of keys, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// None, or none that is known by its place.
    None,
    /// The first.
    One,
    /// The first two.
    Two,
    /// All.
    All,
    /// All but the last.
    AllButLast,
    /// The first, the third and so on.
    Pairs,
    /// The second.
    Second,
    /// All from the second on.
    FromSecond,
    /// As many as this argument says, behind it.
    Counted(u8),
}

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// In capitals.
    pub(super) name: &'static str,
    /// How many words it has with its name; at least so many, if negative.
    pub(super) arity: i8,
    pub(super) keys: Keys,
}

/// The longest name of a command or subcommand here (`GET-MASTER-ADDR-BY-NAME`).
pub(super) const LONGEST: usize = 23;

impl Command {
    /// The command of this name, in any case.
    pub(super) fn named(name: &[u8]) -> Option<&'static Command> {
        let mut buffer = [0; LONGEST];
        let upper = buffer.get_mut(..name.len())?;
        upper.copy_from_slice(name);
        upper.make_ascii_uppercase();
        let found = COMMANDS.binary_search_by(|command| command.name.as_bytes().cmp(upper)).ok()?;
        Some(&COMMANDS[found])
    }

    /// Whether it may have `words` with its name.
    pub(super) fn takes(&self, words: u64) -> bool {
        match u64::try_from(self.arity) {
            Ok(arity) => words == arity,
            Err(_) => words >= u64::from(self.arity.unsigned_abs()),
        }
    }

    /// True if its first argument says which command it is (`CONFIG GET`).
    pub(super) fn has_subcommands(&self) -> bool {
        SUBCOMMANDS.iter().any(|(name, _)| *name == self.name)
    }

    /// Its subcommand of this name, in any case, in capitals.
    pub(super) fn subcommand(&self, name: &[u8]) -> Option<&'static str> {
        let (_, names) = SUBCOMMANDS.iter().find(|(command, _)| *command == self.name)?;
        names.iter().find(|known| known.as_bytes().eq_ignore_ascii_case(name)).copied()
    }
}

const fn c(name: &'static str, arity: i8, keys: Keys) -> Command {
    Command { name, arity, keys }
}

/// Sorted by name.
#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    c("ACL", -2, Keys::None),
    c("APPEND", 3, Keys::One),
    c("ASKING", 1, Keys::None),
    c("AUTH", -2, Keys::None),
    c("BGREWRITEAOF", 1, Keys::None),
    c("BGSAVE", -1, Keys::None),
    c("BITCOUNT", -2, Keys::One),
    c("BITFIELD", -2, Keys::One),
    c("BITFIELD_RO", -2, Keys::One),
    c("BITOP", -4, Keys::FromSecond),
    c("BITPOS", -3, Keys::One),
    c("BLMOVE", 6, Keys::Two),
    c("BLMPOP", -5, Keys::Counted(2)),
    c("BLPOP", -3, Keys::AllButLast),
    c("BRPOP", -3, Keys::AllButLast),
    c("BRPOPLPUSH", 4, Keys::Two),
    c("BZMPOP", -5, Keys::Counted(2)),
    c("BZPOPMAX", -3, Keys::AllButLast),
    c("BZPOPMIN", -3, Keys::AllButLast),
    c("CLIENT", -2, Keys::None),
    c("CLUSTER", -2, Keys::None),
    c("COMMAND", -1, Keys::None),
    c("COMMANDLOG", -2, Keys::None),
    c("CONFIG", -2, Keys::None),
    c("COPY", -3, Keys::Two),
    c("DBSIZE", 1, Keys::None),
    c("DEBUG", -2, Keys::None),
    c("DECR", 2, Keys::One),
    c("DECRBY", 3, Keys::One),
    c("DEL", -2, Keys::All),
    c("DELEX", -2, Keys::One),
    c("DELIFEQ", 3, Keys::One),
    c("DIGEST", 2, Keys::One),
    c("DISCARD", 1, Keys::None),
    c("DUMP", 2, Keys::One),
    c("ECHO", 2, Keys::None),
    c("EVAL", -3, Keys::Counted(2)),
    c("EVALSHA", -3, Keys::Counted(2)),
    c("EVALSHA_RO", -3, Keys::Counted(2)),
    c("EVAL_RO", -3, Keys::Counted(2)),
    c("EXEC", 1, Keys::None),
    c("EXISTS", -2, Keys::All),
    c("EXPIRE", -3, Keys::One),
    c("EXPIREAT", -3, Keys::One),
    c("EXPIRETIME", 2, Keys::One),
    c("FAILOVER", -1, Keys::None),
    c("FCALL", -3, Keys::Counted(2)),
    c("FCALL_RO", -3, Keys::Counted(2)),
    c("FLUSHALL", -1, Keys::None),
    c("FLUSHDB", -1, Keys::None),
    c("FUNCTION", -2, Keys::None),
    c("GEOADD", -5, Keys::One),
    c("GEODIST", -4, Keys::One),
    c("GEOHASH", -2, Keys::One),
    c("GEOPOS", -2, Keys::One),
    c("GEORADIUS", -6, Keys::One),
    c("GEORADIUSBYMEMBER", -5, Keys::One),
    c("GEORADIUSBYMEMBER_RO", -5, Keys::One),
    c("GEORADIUS_RO", -6, Keys::One),
    c("GEOSEARCH", -7, Keys::One),
    c("GEOSEARCHSTORE", -8, Keys::Two),
    c("GET", 2, Keys::One),
    c("GETBIT", 3, Keys::One),
    c("GETDEL", 2, Keys::One),
    c("GETEX", -2, Keys::One),
    c("GETRANGE", 4, Keys::One),
    c("GETSET", 3, Keys::One),
    c("HDEL", -3, Keys::One),
    c("HELLO", -1, Keys::None),
    c("HEXISTS", 3, Keys::One),
    c("HEXPIRE", -6, Keys::One),
    c("HEXPIREAT", -6, Keys::One),
    c("HEXPIRETIME", -5, Keys::One),
    c("HGET", 3, Keys::One),
    c("HGETALL", 2, Keys::One),
    c("HGETDEL", -5, Keys::One),
    c("HGETEX", -5, Keys::One),
    c("HINCRBY", 4, Keys::One),
    c("HINCRBYFLOAT", 4, Keys::One),
    c("HKEYS", 2, Keys::One),
    c("HLEN", 2, Keys::One),
    c("HMGET", -3, Keys::One),
    c("HMSET", -4, Keys::One),
    c("HPERSIST", -5, Keys::One),
    c("HPEXPIRE", -6, Keys::One),
    c("HPEXPIREAT", -6, Keys::One),
    c("HPEXPIRETIME", -5, Keys::One),
    c("HPTTL", -5, Keys::One),
    c("HRANDFIELD", -2, Keys::One),
    c("HSCAN", -3, Keys::One),
    c("HSET", -4, Keys::One),
    c("HSETEX", -6, Keys::One),
    c("HSETNX", 4, Keys::One),
    c("HSTRLEN", 3, Keys::One),
    c("HTTL", -5, Keys::One),
    c("HVALS", 2, Keys::One),
    c("INCR", 2, Keys::One),
    c("INCRBY", 3, Keys::One),
    c("INCRBYFLOAT", 3, Keys::One),
    c("INFO", -1, Keys::None),
    c("KEYS", 2, Keys::None),
    c("LASTSAVE", 1, Keys::None),
    c("LATENCY", -2, Keys::None),
    c("LCS", -3, Keys::Two),
    c("LINDEX", 3, Keys::One),
    c("LINSERT", 5, Keys::One),
    c("LLEN", 2, Keys::One),
    c("LMOVE", 5, Keys::Two),
    c("LMPOP", -4, Keys::Counted(1)),
    c("LOLWUT", -1, Keys::None),
    c("LPOP", -2, Keys::One),
    c("LPOS", -3, Keys::One),
    c("LPUSH", -3, Keys::One),
    c("LPUSHX", -3, Keys::One),
    c("LRANGE", 4, Keys::One),
    c("LREM", 4, Keys::One),
    c("LSET", 4, Keys::One),
    c("LTRIM", 4, Keys::One),
    c("MEMORY", -2, Keys::Second),
    c("MGET", -2, Keys::All),
    c("MIGRATE", -6, Keys::None),
    c("MODULE", -2, Keys::None),
    c("MONITOR", 1, Keys::None),
    c("MOVE", 3, Keys::One),
    c("MSET", -3, Keys::Pairs),
    c("MSETEX", -4, Keys::None),
    c("MSETNX", -3, Keys::Pairs),
    c("MULTI", 1, Keys::None),
    c("OBJECT", -2, Keys::Second),
    c("PERSIST", 2, Keys::One),
    c("PEXPIRE", -3, Keys::One),
    c("PEXPIREAT", -3, Keys::One),
    c("PEXPIRETIME", 2, Keys::One),
    c("PFADD", -2, Keys::One),
    c("PFCOUNT", -2, Keys::All),
    c("PFDEBUG", 3, Keys::Second),
    c("PFMERGE", -2, Keys::All),
    c("PFSELFTEST", 1, Keys::None),
    c("PING", -1, Keys::None),
    c("PSETEX", 4, Keys::One),
    c("PSUBSCRIBE", -2, Keys::None),
    c("PSYNC", -3, Keys::None),
    c("PTTL", 2, Keys::One),
    c("PUBLISH", 3, Keys::None),
    c("PUBSUB", -2, Keys::None),
    c("PUNSUBSCRIBE", -1, Keys::None),
    c("QUIT", -1, Keys::None),
    c("RANDOMKEY", 1, Keys::None),
    c("READONLY", 1, Keys::None),
    c("READWRITE", 1, Keys::None),
    c("RENAME", 3, Keys::Two),
    c("RENAMENX", 3, Keys::Two),
    c("REPLCONF", -1, Keys::None),
    c("REPLICAOF", 3, Keys::None),
    c("RESET", 1, Keys::None),
    c("RESTORE", -4, Keys::One),
    c("RESTORE-ASKING", -4, Keys::One),
    c("ROLE", 1, Keys::None),
    c("RPOP", -2, Keys::One),
    c("RPOPLPUSH", 3, Keys::Two),
    c("RPUSH", -3, Keys::One),
    c("RPUSHX", -3, Keys::One),
    c("SADD", -3, Keys::One),
    c("SAVE", 1, Keys::None),
    c("SCAN", -2, Keys::None),
    c("SCARD", 2, Keys::One),
    c("SCRIPT", -2, Keys::None),
    c("SDIFF", -2, Keys::All),
    c("SDIFFSTORE", -3, Keys::All),
    c("SELECT", 2, Keys::None),
    c("SENTINEL", -2, Keys::None),
    c("SET", -3, Keys::One),
    c("SETBIT", 4, Keys::One),
    c("SETEX", 4, Keys::One),
    c("SETNX", 3, Keys::One),
    c("SETRANGE", 4, Keys::One),
    c("SHUTDOWN", -1, Keys::None),
    c("SINTER", -2, Keys::All),
    c("SINTERCARD", -3, Keys::Counted(1)),
    c("SINTERSTORE", -3, Keys::All),
    c("SISMEMBER", 3, Keys::One),
    c("SLAVEOF", 3, Keys::None),
    c("SLOWLOG", -2, Keys::None),
    c("SMEMBERS", 2, Keys::One),
    c("SMISMEMBER", -3, Keys::One),
    c("SMOVE", 4, Keys::Two),
    c("SORT", -2, Keys::One),
    c("SORT_RO", -2, Keys::One),
    c("SPOP", -2, Keys::One),
    c("SPUBLISH", 3, Keys::One),
    c("SRANDMEMBER", -2, Keys::One),
    c("SREM", -3, Keys::One),
    c("SSCAN", -3, Keys::One),
    c("SSUBSCRIBE", -2, Keys::All),
    c("STRLEN", 2, Keys::One),
    c("SUBSCRIBE", -2, Keys::None),
    c("SUBSTR", 4, Keys::One),
    c("SUNION", -2, Keys::All),
    c("SUNIONSTORE", -3, Keys::All),
    c("SUNSUBSCRIBE", -1, Keys::All),
    c("SWAPDB", 3, Keys::None),
    c("SYNC", 1, Keys::None),
    c("TIME", 1, Keys::None),
    c("TOUCH", -2, Keys::All),
    c("TTL", 2, Keys::One),
    c("TYPE", 2, Keys::One),
    c("UNLINK", -2, Keys::All),
    c("UNSUBSCRIBE", -1, Keys::None),
    c("UNWATCH", 1, Keys::None),
    c("VADD", -5, Keys::One),
    c("VCARD", 2, Keys::One),
    c("VDIM", 2, Keys::One),
    c("VEMB", -3, Keys::One),
    c("VGETATTR", 3, Keys::One),
    c("VINFO", 2, Keys::One),
    c("VISMEMBER", 3, Keys::One),
    c("VLINKS", -3, Keys::One),
    c("VRANDMEMBER", -2, Keys::One),
    c("VREM", 3, Keys::One),
    c("VSETATTR", 4, Keys::One),
    c("VSIM", -4, Keys::One),
    c("WAIT", 3, Keys::None),
    c("WAITAOF", 4, Keys::None),
    c("WATCH", -2, Keys::All),
    c("XACK", -4, Keys::One),
    c("XACKDEL", -6, Keys::One),
    c("XADD", -5, Keys::One),
    c("XAUTOCLAIM", -6, Keys::One),
    c("XCLAIM", -6, Keys::One),
    c("XDEL", -3, Keys::One),
    c("XDELEX", -5, Keys::One),
    c("XGROUP", -2, Keys::Second),
    c("XINFO", -2, Keys::Second),
    c("XLEN", 2, Keys::One),
    c("XPENDING", -3, Keys::One),
    c("XRANGE", -4, Keys::One),
    c("XREAD", -4, Keys::None),
    c("XREADGROUP", -7, Keys::None),
    c("XREVRANGE", -4, Keys::One),
    c("XSETID", -3, Keys::One),
    c("XTRIM", -4, Keys::One),
    c("ZADD", -4, Keys::One),
    c("ZCARD", 2, Keys::One),
    c("ZCOUNT", 4, Keys::One),
    c("ZDIFF", -3, Keys::Counted(1)),
    c("ZDIFFSTORE", -4, Keys::One),
    c("ZINCRBY", 4, Keys::One),
    c("ZINTER", -3, Keys::Counted(1)),
    c("ZINTERCARD", -3, Keys::Counted(1)),
    c("ZINTERSTORE", -4, Keys::One),
    c("ZLEXCOUNT", 4, Keys::One),
    c("ZMPOP", -4, Keys::Counted(1)),
    c("ZMSCORE", -3, Keys::One),
    c("ZPOPMAX", -2, Keys::One),
    c("ZPOPMIN", -2, Keys::One),
    c("ZRANDMEMBER", -2, Keys::One),
    c("ZRANGE", -4, Keys::One),
    c("ZRANGEBYLEX", -4, Keys::One),
    c("ZRANGEBYSCORE", -4, Keys::One),
    c("ZRANGESTORE", -5, Keys::Two),
    c("ZRANK", 3, Keys::One),
    c("ZREM", -3, Keys::One),
    c("ZREMRANGEBYLEX", 4, Keys::One),
    c("ZREMRANGEBYRANK", 4, Keys::One),
    c("ZREMRANGEBYSCORE", 4, Keys::One),
    c("ZREVRANGE", -4, Keys::One),
    c("ZREVRANGEBYLEX", -4, Keys::One),
    c("ZREVRANGEBYSCORE", -4, Keys::One),
    c("ZREVRANK", 3, Keys::One),
    c("ZSCAN", -3, Keys::One),
    c("ZSCORE", 3, Keys::One),
    c("ZUNION", -3, Keys::Counted(1)),
    c("ZUNIONSTORE", -4, Keys::One),
];

/// Commands that are a family, and their members.
#[rustfmt::skip]
pub(super) const SUBCOMMANDS: &[(&str, &[&str])] = &[
    ("ACL", &[
        "CAT", "DELUSER", "DRYRUN", "GENPASS", "GETUSER", "HELP", "LIST", "LOAD", "LOG", "SAVE",
        "SETUSER", "USERS", "WHOAMI"
    ]),
    ("CLIENT", &[
        "CACHING", "CAPA", "GETNAME", "GETREDIR", "HELP", "ID", "IMPORT-SOURCE", "INFO", "KILL",
        "LIST", "MAINT-NOTIFICATIONS", "MAINT_NOTIFICATIONS", "NO-EVICT", "NO-TOUCH", "PAUSE",
        "REPLY", "SETINFO", "SETNAME", "TRACKING", "TRACKINGINFO", "UNBLOCK", "UNPAUSE"
    ]),
    ("CLUSTER", &[
        "ADDSLOTS", "ADDSLOTSRANGE", "BUMPEPOCH", "COUNT-FAILURE-REPORTS", "COUNTKEYSINSLOT",
        "DELSLOTS", "DELSLOTSRANGE", "FAILOVER", "FLUSHSLOTS", "FORGET", "GETKEYSINSLOT",
        "GETSLOTMIGRATIONS", "HELP", "INFO", "KEYSLOT", "LINKS", "MEET", "MYID", "MYSHARDID",
        "NODES", "REPLICAS", "REPLICATE", "RESET", "SAVECONFIG", "SET-CONFIG-EPOCH", "SETSLOT",
        "SHARDS", "SLAVES", "SLOT-STATS", "SLOTS"
    ]),
    ("COMMAND", &[
        "COUNT", "DOCS", "GETKEYS", "GETKEYSANDFLAGS", "HELP", "INFO", "LIST"
    ]),
    ("COMMANDLOG", &[
        "GET", "HELP", "LEN", "RESET"
    ]),
    ("CONFIG", &[
        "GET", "HELP", "RESETSTAT", "REWRITE", "SET"
    ]),
    ("FUNCTION", &[
        "DELETE", "DUMP", "FLUSH", "HELP", "KILL", "LIST", "LOAD", "RESTORE", "STATS"
    ]),
    ("LATENCY", &[
        "DOCTOR", "GRAPH", "HELP", "HISTOGRAM", "HISTORY", "LATEST", "RESET"
    ]),
    ("MEMORY", &[
        "DOCTOR", "HELP", "MALLOC-STATS", "PURGE", "STATS", "USAGE"
    ]),
    ("MODULE", &[
        "HELP", "LIST", "LOAD", "LOADEX", "UNLOAD"
    ]),
    ("OBJECT", &[
        "ENCODING", "FREQ", "HELP", "IDLETIME", "REFCOUNT"
    ]),
    ("PUBSUB", &[
        "CHANNELS", "HELP", "NUMPAT", "NUMSUB", "SHARDCHANNELS", "SHARDNUMSUB"
    ]),
    ("SCRIPT", &[
        "DEBUG", "EXISTS", "FLUSH", "HELP", "KILL", "LOAD"
    ]),
    ("SENTINEL", &[
        "CKQUORUM", "CONFIG", "FAILOVER", "FLUSHCONFIG", "GET-MASTER-ADDR-BY-NAME", "INFO-CACHE", "IS-MASTER-DOWN-BY-ADDR", "MASTER", "MASTERS", "MONITOR", "MYID", "PENDING-SCRIPTS", "REMOVE", "REPLICAS", "RESET", "SENTINELS", "SET", "SLAVES"
    ]),
    ("SLOWLOG", &[
        "GET", "HELP", "LEN", "RESET"
    ]),
    ("XGROUP", &[
        "CREATE", "CREATECONSUMER", "DELCONSUMER", "DESTROY", "HELP", "SETID"
    ]),
    ("XINFO", &[
        "CONSUMERS", "GROUPS", "HELP", "STREAM"
    ]),
];

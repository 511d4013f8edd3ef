//! What clients and servers say to each other, and which calls that is.

use super::{Q, Turns, asks, run, says};

/// A conversation and its calls.
pub(super) struct Conversation {
    pub(super) name: &'static str,
    pub(super) turns: Turns,
    pub(super) calls: &'static [&'static str],
}

/// All of them.
pub(super) fn all() -> Vec<Conversation> {
    let one = |name, turns, calls| Conversation { name, turns, calls };
    vec![
        one(
            "a call and another",
            vec![asks("SET k v"), says("+OK|"), asks("get user:17"), says("$-1|")],
            &[r#"0 SET @0 "SET k ?" -> 5"#, r#"27 get @0 "get user:?" -> 10"#],
        ),
        one(
            "errors",
            vec![
                asks("INCR k"),
                says("-ERR value is not an integer or out of range|"),
                asks("LPOP k"),
                says("-WRONGTYPE Operation against a key|"),
                asks("FOO.BAR a"),
                says("!21|SYNTAX invalid syntax|"),
                asks("GET k"),
                says("-my own error|"),
            ],
            &[
                r#"0 INCR @0 "INCR k" -> 46 ERR"#,
                r#"21 LPOP @0 "LPOP k" -> 82 WRONGTYPE"#,
                r#"42 FOO.BAR @0 "FOO.BAR ?" -> 110 SYNTAX"#,
                r#"66 GET @0 "GET k" -> 125 failed"#,
            ],
        ),
        one(
            "a pipeline of one kind",
            vec![asks("GET a\nGET b\nGET c"), says("$1|1|$-1|$1|3|")],
            &[r#"0 PIPELINE GET x3 @0 "GET a; GET b; GET c" -> 19"#],
        ),
        one(
            "a pipeline of several kinds, with an error",
            vec![asks("SET a 1\nGET a\nLPOP a\nGET a"), says("+OK|$1|1|-WRONGTYPE x|$1|1|")],
            &[r#"0 PIPELINE x4 @0 "SET a ?; GET a; LPOP a; GET a" -> 33 WRONGTYPE"#],
        ),
        one(
            "the same text many times",
            vec![asks("GET u:1\nGET u:2\nGET u:3\nPING"), says("$-1|$-1|$-1|+PONG|")],
            &[r#"0 PIPELINE x4 @0 "GET u:?; GET u:?; GET u:?; PING" -> 22"#],
        ),
        one(
            "a transaction in one piece",
            vec![asks("MULTI\nSET a 1\nSET a 2\nEXEC"), says("+OK|+QUEUED|+QUEUED|*2|+OK|+OK|")],
            &[r#"0 MULTI SET x2 @0 "MULTI; SET a ?; SET a ?; EXEC" -> 37"#],
        ),
        one(
            "a transaction in which a command fails",
            vec![
                asks("multi\nset a 1\nlpop a\nexec"),
                says("+OK|+QUEUED|+QUEUED|*2|+OK|-WRONGTYPE|"),
            ],
            &[r#"0 MULTI x2 @0 "multi; set a ?; lpop a; exec" -> 44 WRONGTYPE"#],
        ),
        one(
            "a transaction, one by one",
            vec![
                asks("WATCH k"),
                says("+OK|"),
                asks("MULTI"),
                says("+OK|"),
                asks("BLPOP k 0"),
                says("+QUEUED|"),
                asks("EXEC"),
                says("*-1|"),
            ],
            &[
                r#"0 WATCH @0 "WATCH k" -> 5"#,
                r#"22 MULTI @0 "MULTI" -> 10"#,
                r#"37 BLPOP @0 "BLPOP k ?" waits -> 19"#,
                r#"65 EXEC @0 "EXEC" -> 24"#,
            ],
        ),
        one(
            "two transactions at once are a pipeline",
            vec![
                asks("MULTI\nPING\nEXEC\nMULTI\nPING\nEXEC"),
                says("+OK|+QUEUED|*1|+PONG|+OK|+QUEUED|*1|+PONG|"),
            ],
            &[r#"0 PIPELINE x6 @0 "MULTI; PING; EXEC; MULTI; PING; EXEC" -> 50"#],
        ),
        one(
            "credentials",
            vec![
                asks("HELLO 3 AUTH me secret SETNAME x"),
                says("%1|$6|server|$5|redis|"),
                asks("AUTH secret"),
                says("+OK|"),
                asks("ACL SETUSER me >secret"),
                says("+OK|"),
                asks("CONFIG SET requirepass secret"),
                says("+OK|"),
                asks("MIGRATE h 1 secret 0 9 AUTH secret"),
                says("+OK|"),
            ],
            &[
                r#"0 HELLO @0 "HELLO" -> 27"#,
                r#"73 AUTH @0 "AUTH" -> 32"#,
                r#"99 ACL @0 "ACL" -> 37"#,
                r#"143 CONFIG SET @0 "CONFIG SET ? ?" -> 42"#,
                r#"197 MIGRATE @0 "MIGRATE" -> 47"#,
            ],
        ),
        one(
            "databases",
            vec![
                asks("SELECT 3"),
                says("+OK|"),
                asks("PING"),
                says("+PONG|"),
                asks("SELECT 99"),
                says("-ERR DB index is out of range|"),
                asks("PING"),
                says("+PONG|"),
                asks("RESET"),
                says("+RESET|"),
                asks("PING"),
                says("+PONG|"),
            ],
            &[
                r#"0 SELECT @0 "SELECT ?" -> 5"#,
                r#"23 PING @3 "PING" -> 12"#,
                r#"37 SELECT @3 "SELECT ?" -> 43 ERR"#,
                r#"61 PING @3 "PING" -> 50"#,
                r#"75 RESET @3 "RESET" -> 58"#,
                r#"90 PING @0 "PING" -> 65"#,
            ],
        ),
        one(
            "subscriptions, RESP2",
            vec![
                asks("SUBSCRIBE a b"),
                says("*3|$9|subscribe|$1|a|:1|*3|$9|subscribe|$1|b|:2|*3|$7|message|$1|a|$2|hi|"),
                says("*3|$7|message|$1|b|$2|ho|"),
                asks("PING"),
                says("*3|$7|message|$1|b|$2|ha|*2|$4|pong|$0||"),
                asks("UNSUBSCRIBE"),
                says(
                    "*3|$11|unsubscribe|$1|a|:1|*3|$7|message|$1|b|$1|x|*3|$11|unsubscribe|$1|b|:0|",
                ),
                asks("GET k"),
                says("*1|$1|x|"),
            ],
            &[
                r#"0 SUBSCRIBE @0 "SUBSCRIBE ? ?" -> 62"#,
                r#"36 PING @0 "PING" -> 184"#,
                r#"50 UNSUBSCRIBE @0 "UNSUBSCRIBE" -> 285"#,
                r#"72 GET @0 "GET k" -> 296"#,
            ],
        ),
        one(
            "subscriptions and invalidations, RESP3",
            vec![
                asks("HELLO 3"),
                says("%1|$5|proto|:3|"),
                asks("PSUBSCRIBE a*"),
                says(">3|$10|psubscribe|$2|a*|:1|>4|$8|pmessage|$2|a*|$2|ab|$1|x|"),
                asks("LRANGE l 0 -1"),
                says(">2|$10|invalidate|*1|$1|l|*1|$7|message|"),
                asks("PUNSUBSCRIBE a*"),
                says(">3|$12|punsubscribe|$2|a*|:0|"),
            ],
            &[
                r#"0 HELLO @0 "HELLO" -> 19"#,
                r#"26 PSUBSCRIBE @0 "PSUBSCRIBE ?" -> 52"#,
                r#"58 LRANGE @0 "LRANGE l ? ?" -> 141"#,
                r#"98 PUNSUBSCRIBE @0 "PUNSUBSCRIBE ?" -> 176"#,
            ],
        ),
        one(
            "commands that wait",
            vec![
                asks("BLPOP q:jobs 5"),
                says("*-1|"),
                asks("XREAD BLOCK 100 STREAMS s $"),
                says("*-1|"),
                asks("XREAD COUNT 1 STREAMS s 0"),
                says("*-1|"),
                asks("WAIT 1 100"),
                says(":0|"),
            ],
            &[
                r#"0 BLPOP @0 "BLPOP q:jobs ?" waits -> 5"#,
                r#"36 XREAD @0 "XREAD ? ? ? ? ?" waits -> 10"#,
                r#"97 XREAD @0 "XREAD ? ? ? ? ?" -> 15"#,
                r#"156 WAIT @0 "WAIT ? ?" waits -> 19"#,
            ],
        ),
        one(
            "scripts",
            vec![
                asks("EVAL return(1) 2 a:1 b arg"),
                says(":1|"),
                asks("EVALSHA 5332031c6b470dc5a0dd9b4bf2030dea6d65de91 1 a x"),
                says("-NOSCRIPT No matching script.|"),
                asks("FCALL my_function 0"),
                says("*2|:1|*2|:2|*0|"),
            ],
            &[
                r#"0 EVAL @0 "EVAL ? ? a:? b ?" -> 4"#,
                r#"64 EVALSHA @0 "EVALSHA ? ? a ?" calls 5332031c6b470dc5a0dd9b4bf2030dea6d65de91 -> 35 NOSCRIPT"#,
                r#"154 FCALL @0 "FCALL ? ?" calls my_function -> 55"#,
            ],
        ),
        one(
            "families",
            vec![
                asks("CLIENT SETINFO LIB-NAME redis-py"),
                says("+OK|"),
                asks("object encoding k"),
                says("$6|embstr|"),
                asks("CONFIG WHAT secret"),
                says("-ERR unknown subcommand|"),
            ],
            &[
                r#"0 CLIENT SETINFO @0 "CLIENT SETINFO ? ?" -> 5"#,
                r#"62 object encoding @0 "object encoding k" -> 17"#,
                r#"101 CONFIG @0 "CONFIG ? ?" -> 42 ERR"#,
            ],
        ),
        one(
            "large values are passed over",
            vec![
                asks("SET k ~3000\nSET l ~70000"),
                says("+OK|+OK|"),
                asks("GET k"),
                (super::A, {
                    let mut value = b"$100000\r\n".to_vec();
                    value.resize(100_009, b'x');
                    value.extend(b"\r\n");
                    value
                }),
            ],
            &[
                r#"0 PIPELINE SET x2 @0 "SET k ?; SET l ?" -> 10"#,
                r#"73060 GET @0 "GET k" -> 100021"#,
            ],
        ),
        one(
            "every kind of value",
            vec![
                asks("HGETALL k"),
                says("|1|+a|*1|:1|%2|$1|a|,1.5|$1|b|#t|"),
                asks("SMEMBERS k"),
                says("~3|(123456789012345678901234567890|_|=6|txt:ab|"),
                asks("GET k"),
                says("$?|;4|abcd|;0|"),
                asks("LRANGE k 0 1"),
                says("*?|:1|*?|+a|.|%?|+k|*2|:1|:2|.|.|"),
                asks("INFO"),
                says(
                    "+a line that is longer than what is looked at of a header, which is sixty-four bytes|",
                ),
                asks("LRANGE k 0 1"),
                says("*2|*1|*1|*0|%1|+a|>1|:1|"),
            ],
            &[
                r#"0 HGETALL @0 "HGETALL k" -> 50"#,
                r#"27 SMEMBERS @0 "SMEMBERS k" -> 102"#,
                r#"55 GET @0 "GET k" -> 120"#,
                r#"75 LRANGE @0 "LRANGE k ? ?" -> 162"#,
                r#"109 INFO @0 "INFO" -> 248"#,
                r#"123 LRANGE @0 "LRANGE k ? ?" -> 276"#,
            ],
        ),
        one(
            "lines",
            vec![
                (Q, b"PING\r\n".to_vec()),
                says("+PONG|"),
                (Q, b"\r\nset user:1 \"a b\"\nGET user:1\r\n".to_vec()),
                says("+OK|$3|a b|"),
            ],
            &[r#"0 PING @0 "PING" -> 7"#, r#"8 PIPELINE x2 @0 "set; GET user:?" -> 21"#],
        ),
        one(
            "what asks for nothing",
            vec![
                asks("PING"),
                says("+PONG|"),
                (Q, b"*0\r\n*-1\r\n\r\n*1\r\n$4\r\nPING\r\n".to_vec()),
                says("+PONG|"),
            ],
            &[r#"0 PING @0 "PING" -> 7"#, r#"25 PING @0 "PING" -> 14"#],
        ),
        one(
            "shared by tasks",
            vec![
                asks("GET a\nGET b"),
                says("$1|1|"),
                asks("INCR n"),
                says("$1|2|"),
                asks("GET c"),
                says(":1|$1|3|"),
            ],
            &[
                r#"0 PIPELINE GET x2 @0 "GET a; GET b" -> 14"#,
                r#"40 INCR @0 "INCR n" -> 18"#,
                r#"61 GET @0 "GET c" -> 25"#,
            ],
        ),
        one(
            "monitored",
            vec![
                asks("GET a"),
                says("$1|1|"),
                asks("MONITOR"),
                says("+OK|+1700000000.1 [0 127.0.0.1:1] \"GET\" \"a\"|"),
                asks("GET b"),
                says("+1700000000.1 [0 127.0.0.1:1] \"GET\" \"b\"|$1|1|"),
            ],
            &[r#"0 GET @0 "GET a" -> 7"#, r#"20 MONITOR @0 "MONITOR" -> 12"#],
        ),
        one(
            "replication is left alone",
            vec![
                asks("PING"),
                says("+PONG|"),
                asks("PSYNC ? -1"),
                says("+FULLRESYNC x 0|$4|RDBx*1|$4|PING|"),
                asks("REPLCONF ACK 0"),
            ],
            &[r#"0 PING @0 "PING" -> 7"#],
        ),
        one(
            "replies that were not wanted",
            vec![asks("PING"), says("+PONG|"), asks("CLIENT REPLY OFF\nSET a 1"), asks("SET b 1")],
            &[r#"0 PING @0 "PING" -> 7"#, "Unanswered"],
        ),
        one(
            "no answer",
            vec![asks("PING"), says("+PONG|"), asks("SHUTDOWN")],
            &[r#"0 PING @0 "PING" -> 7"#, r#"14 SHUTDOWN @0 "SHUTDOWN" unanswered"#],
        ),
        one(
            "names that may be secrets",
            vec![asks("b840fc02d524045429941cc15f59e41c x"), says("-ERR unknown|")],
            &[],
        ),
    ]
}

#[test]
fn calls_of_conversations() {
    for Conversation { name, turns, calls } in all() {
        if name != "names that may be secrets" {
            assert_eq!(run(&turns), calls, "{name}");
        }
    }
}

/// On a connection that is known for Redis, a command that is not known is a call without a name.
#[test]
fn a_renamed_command() {
    let turns = vec![asks("PING"), says("+PONG|"), asks("b840fc02 secret"), says("+OK|")];
    assert_eq!(run(&turns)[1], r#"14 ? @0 "? ?" -> 12"#);
}

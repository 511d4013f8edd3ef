//! What clients and servers say to each other, and which calls that is.

use super::{Q, Side, asks, run, says};

/// A conversation and its calls.
pub(super) struct Conversation {
    pub(super) name: &'static str,
    pub(super) turns: Vec<(Side, Vec<u8>)>,
    pub(super) calls: &'static [&'static str],
}

/// All of them.
pub(super) fn all() -> Vec<Conversation> {
    let one = |name, turns, calls| Conversation { name, turns, calls };
    vec![
        one(
            "a call and another",
            vec![asks("SET k v"), says("+OK/"), asks("get user:17"), says("$-1/")],
            &[r#"q0 SET @0 "SET k ?" -> a1"#, r#"q2 get @0 "get user:?" -> a3"#],
        ),
        one(
            "errors",
            vec![
                asks("INCR k"),
                says("-ERR value is not an integer or out of range/"),
                asks("LPOP k"),
                says("-WRONGTYPE Operation against a key/"),
                asks("FOO.BAR a"),
                says("!21/SYNTAX invalid syntax/"),
                asks("GET k"),
                says("-my own error/"),
            ],
            &[
                r#"q0 INCR @0 "INCR k" -> a1 ERR"#,
                r#"q2 LPOP @0 "LPOP k" -> a3 WRONGTYPE"#,
                r#"q4 FOO.BAR @0 "FOO.BAR ?" -> a5 SYNTAX"#,
                r#"q6 GET @0 "GET k" -> a7 failed"#,
            ],
        ),
        one(
            "a pipeline of one kind",
            vec![asks("GET a\nGET b\nGET c"), says("$1/1/$-1/$1/3/")],
            &[r#"q0 PIPELINE GET x3 @0 "GET a; GET b; GET c" -> a1"#],
        ),
        one(
            "a pipeline of several kinds, with an error",
            vec![asks("SET a 1\nGET a\nLPOP a\nGET a"), says("+OK/$1/1/-WRONGTYPE x/$1/1/")],
            &[r#"q0 PIPELINE x4 @0 "SET a ?; GET a; LPOP a; GET a" -> a1 WRONGTYPE"#],
        ),
        one(
            "the same text many times",
            vec![asks("GET u:1\nGET u:2\nGET u:3\nPING"), says("$-1/$-1/$-1/+PONG/")],
            &[r#"q0 PIPELINE x4 @0 "GET u:?; GET u:?; GET u:?; PING" -> a1"#],
        ),
        one(
            "a transaction in one piece",
            vec![asks("MULTI\nSET a 1\nSET a 2\nEXEC"), says("+OK/+QUEUED/+QUEUED/*2/+OK/+OK/")],
            &[r#"q0 MULTI SET x2 @0 "MULTI; SET a ?; SET a ?; EXEC" -> a1"#],
        ),
        one(
            "a transaction in which a command fails",
            vec![
                asks("multi\nset a 1\nlpop a\nexec"),
                says("+OK/+QUEUED/+QUEUED/*2/+OK/-WRONGTYPE/"),
            ],
            &[r#"q0 MULTI x2 @0 "multi; set a ?; lpop a; exec" -> a1 WRONGTYPE"#],
        ),
        one(
            "a transaction, one by one",
            vec![
                asks("WATCH k"),
                says("+OK/"),
                asks("MULTI"),
                says("+OK/"),
                asks("BLPOP k 0"),
                says("+QUEUED/"),
                asks("EXEC"),
                says("*-1/"),
            ],
            &[
                r#"q0 WATCH @0 "WATCH k" -> a1"#,
                r#"q2 MULTI @0 "MULTI" -> a3"#,
                r#"q4 BLPOP @0 "BLPOP k ?" waits -> a5"#,
                r#"q6 EXEC @0 "EXEC" -> a7"#,
            ],
        ),
        one(
            "two transactions at once are a pipeline",
            vec![
                asks("MULTI\nPING\nEXEC\nMULTI\nPING\nEXEC"),
                says("+OK/+QUEUED/*1/+PONG/+OK/+QUEUED/*1/+PONG/"),
            ],
            &[r#"q0 PIPELINE x6 @0 "MULTI; PING; EXEC; MULTI; PING; EXEC" -> a1"#],
        ),
        one(
            "credentials",
            vec![
                asks("HELLO 3 AUTH me secret SETNAME x"),
                says("%1/$6/server/$5/redis/"),
                asks("AUTH secret"),
                says("+OK/"),
                asks("ACL SETUSER me >secret"),
                says("+OK/"),
                asks("CONFIG SET requirepass secret"),
                says("+OK/"),
                asks("MIGRATE h 1 secret 0 9 AUTH secret"),
                says("+OK/"),
            ],
            &[
                r#"q0 HELLO @0 "HELLO" -> a1"#,
                r#"q2 AUTH @0 "AUTH" -> a3"#,
                r#"q4 ACL @0 "ACL" -> a5"#,
                r#"q6 CONFIG SET @0 "CONFIG SET ? ?" -> a7"#,
                r#"q8 MIGRATE @0 "MIGRATE" -> a9"#,
            ],
        ),
        one(
            "databases",
            vec![
                asks("SELECT 3"),
                says("+OK/"),
                asks("PING"),
                says("+PONG/"),
                asks("SELECT 99"),
                says("-ERR DB index is out of range/"),
                asks("PING"),
                says("+PONG/"),
                asks("RESET"),
                says("+RESET/"),
                asks("PING"),
                says("+PONG/"),
            ],
            &[
                r#"q0 SELECT @0 "SELECT ?" -> a1"#,
                r#"q2 PING @3 "PING" -> a3"#,
                r#"q4 SELECT @3 "SELECT ?" -> a5 ERR"#,
                r#"q6 PING @3 "PING" -> a7"#,
                r#"q8 RESET @3 "RESET" -> a9"#,
                r#"q10 PING @0 "PING" -> a11"#,
            ],
        ),
        one(
            "subscriptions, RESP2",
            vec![
                asks("SUBSCRIBE a b"),
                says("*3/$9/subscribe/$1/a/:1/*3/$9/subscribe/$1/b/:2/"),
                says("*3/$7/message/$1/a/$2/hi/"),
                says("*3/$7/message/$1/b/$2/ho/"),
                asks("PING"),
                says("*3/$7/message/$1/b/$2/ha/"),
                says("*2/$4/pong/$0//"),
                asks("UNSUBSCRIBE"),
                says(
                    "*3/$11/unsubscribe/$1/a/:1/*3/$7/message/$1/b/$1/x/*3/$11/unsubscribe/$1/b/:0/",
                ),
                asks("GET k"),
                says("*1/$1/x/"),
            ],
            &[
                r#"q0 SUBSCRIBE @0 "SUBSCRIBE ? ?" -> a1"#,
                r#"q4 PING @0 "PING" -> a6"#,
                r#"q7 UNSUBSCRIBE @0 "UNSUBSCRIBE" -> a8"#,
                r#"q9 GET @0 "GET k" -> a10"#,
            ],
        ),
        one(
            "subscriptions and invalidations, RESP3",
            vec![
                asks("HELLO 3"),
                says("%1/$5/proto/:3/"),
                asks("PSUBSCRIBE a*"),
                says(">3/$10/psubscribe/$2/a*/:1/"),
                says(">4/$8/pmessage/$2/a*/$2/ab/$1/x/"),
                asks("LRANGE l 0 -1"),
                says(">2/$10/invalidate/*1/$1/l/*1/$7/message/"),
                asks("PUNSUBSCRIBE a*"),
                says(">3/$12/punsubscribe/$2/a*/:0/"),
            ],
            &[
                r#"q0 HELLO @0 "HELLO" -> a1"#,
                r#"q2 PSUBSCRIBE @0 "PSUBSCRIBE ?" -> a3"#,
                r#"q5 LRANGE @0 "LRANGE l ? ?" -> a6"#,
                r#"q7 PUNSUBSCRIBE @0 "PUNSUBSCRIBE ?" -> a8"#,
            ],
        ),
        one(
            "commands that wait",
            vec![
                asks("BLPOP q:jobs 5"),
                says("*-1/"),
                asks("XREAD BLOCK 100 STREAMS s $"),
                says("*-1/"),
                asks("XREAD COUNT 1 STREAMS s 0"),
                says("*-1/"),
                asks("WAIT 1 100"),
                says(":0/"),
            ],
            &[
                r#"q0 BLPOP @0 "BLPOP q:jobs ?" waits -> a1"#,
                r#"q2 XREAD @0 "XREAD ? ? ? ? ?" waits -> a3"#,
                r#"q4 XREAD @0 "XREAD ? ? ? ? ?" -> a5"#,
                r#"q6 WAIT @0 "WAIT ? ?" waits -> a7"#,
            ],
        ),
        one(
            "scripts",
            vec![
                asks("EVAL return(1) 2 a:1 b arg"),
                says(":1/"),
                asks("EVALSHA 5332031c6b470dc5a0dd9b4bf2030dea6d65de91 1 a x"),
                says("-NOSCRIPT No matching script./"),
                asks("FCALL my_function 0"),
                says("*2/:1/*2/:2/*0/"),
            ],
            &[
                r#"q0 EVAL @0 "EVAL ? ? a:? b ?" -> a1"#,
                r#"q2 EVALSHA @0 "EVALSHA ? ? a ?" calls 5332031c6b470dc5a0dd9b4bf2030dea6d65de91 -> a3 NOSCRIPT"#,
                r#"q4 FCALL @0 "FCALL ? ?" calls my_function -> a5"#,
            ],
        ),
        one(
            "families",
            vec![
                asks("CLIENT SETINFO LIB-NAME redis-py"),
                says("+OK/"),
                asks("object encoding k"),
                says("$6/embstr/"),
                asks("CONFIG WHAT secret"),
                says("-ERR unknown subcommand/"),
            ],
            &[
                r#"q0 CLIENT SETINFO @0 "CLIENT SETINFO ? ?" -> a1"#,
                r#"q2 object encoding @0 "object encoding k" -> a3"#,
                r#"q4 CONFIG @0 "CONFIG ? ?" -> a5 ERR"#,
            ],
        ),
        one(
            "large values are passed over",
            vec![
                asks("SET k ~3000\nSET l ~70000"),
                says("+OK/+OK/"),
                asks("GET k"),
                (super::A, {
                    let mut value = b"$100000\r\n".to_vec();
                    value.resize(100_009, b'x');
                    value.extend(b"\r\n");
                    value
                }),
            ],
            &[r#"q0 PIPELINE SET x2 @0 "SET k ?; SET l ?" -> a1"#, r#"q2 GET @0 "GET k" -> a3"#],
        ),
        one(
            "every kind of value",
            vec![
                asks("HGETALL k"),
                says("|1/+a/*1/:1/%2/$1/a/,1.5/$1/b/#t/"),
                asks("SMEMBERS k"),
                says("~3/(123456789012345678901234567890/_/=6/txt:ab/"),
                asks("GET k"),
                says("$?/;4/abcd/;0/"),
                asks("LRANGE k 0 1"),
                says("*?/:1/*?/+a/./%?/+k/*2/:1/:2/././"),
                asks("INFO"),
                says(
                    "+a line that is longer than what is looked at of a header, which is sixty-four bytes/",
                ),
                asks("LRANGE k 0 1"),
                says("*2/*1/*1/*0/%1/+a/>1/:1/"),
            ],
            &[
                r#"q0 HGETALL @0 "HGETALL k" -> a1"#,
                r#"q2 SMEMBERS @0 "SMEMBERS k" -> a3"#,
                r#"q4 GET @0 "GET k" -> a5"#,
                r#"q6 LRANGE @0 "LRANGE k ? ?" -> a7"#,
                r#"q8 INFO @0 "INFO" -> a9"#,
                r#"q10 LRANGE @0 "LRANGE k ? ?" -> a11"#,
            ],
        ),
        one(
            "lines",
            vec![
                (Q, b"PING\r\n".to_vec()),
                says("+PONG/"),
                (Q, b"\r\nset user:1 \"a b\"\nGET user:1\r\n".to_vec()),
                says("+OK/$3/a b/"),
            ],
            &[r#"q0 PING @0 "PING" -> a1"#, r#"8 PIPELINE x2 @0 "set; GET user:?" -> a3"#],
        ),
        one(
            "what asks for nothing",
            vec![
                asks("PING"),
                says("+PONG/"),
                (Q, b"*0\r\n*-1\r\n\r\n*1\r\n$4\r\nPING\r\n".to_vec()),
                says("+PONG/"),
            ],
            &[r#"q0 PING @0 "PING" -> a1"#, r#"25 PING @0 "PING" -> a3"#],
        ),
        one(
            "shared by tasks",
            vec![
                asks("GET a\nGET b"),
                says("$1/1/"),
                asks("INCR n"),
                says("$1/2/"),
                asks("GET c"),
                says(":1/"),
                says("$1/3/"),
            ],
            &[
                r#"q0 PIPELINE GET x2 @0 "GET a; GET b" -> a3"#,
                r#"q2 INCR @0 "INCR n" -> a5"#,
                r#"q4 GET @0 "GET c" -> a6"#,
            ],
        ),
        one(
            "monitored",
            vec![
                asks("GET a"),
                says("$1/1/"),
                asks("MONITOR"),
                says("+OK/"),
                says("+1700000000.1 [0 127.0.0.1:1] \"GET\" \"a\"/"),
                asks("GET b"),
                says("+1700000000.1 [0 127.0.0.1:1] \"GET\" \"b\"/$1/1/"),
            ],
            &[r#"q0 GET @0 "GET a" -> a1"#, r#"q2 MONITOR @0 "MONITOR" -> a3"#],
        ),
        one(
            "replication is left alone",
            vec![
                asks("PING"),
                says("+PONG/"),
                asks("PSYNC ? -1"),
                says("+FULLRESYNC x 0/$4/RDBx*1/$4/PING/"),
                asks("REPLCONF ACK 0"),
            ],
            &[r#"q0 PING @0 "PING" -> a1"#],
        ),
        one(
            "replies that were not wanted",
            vec![asks("PING"), says("+PONG/"), asks("CLIENT REPLY OFF\nSET a 1"), asks("SET b 1")],
            &[r#"q0 PING @0 "PING" -> a1"#, "Unanswered"],
        ),
        one(
            "no answer",
            vec![asks("PING"), says("+PONG/"), asks("SHUTDOWN")],
            &[r#"q0 PING @0 "PING" -> a1"#, r#"q2 SHUTDOWN @0 "SHUTDOWN" unanswered"#],
        ),
        one(
            "names that may be secrets",
            vec![asks("b840fc02d524045429941cc15f59e41c x"), says("-ERR unknown/")],
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
    let turns = vec![asks("PING"), says("+PONG/"), asks("b840fc02 secret"), says("+OK/")];
    assert_eq!(run(&turns)[1], r#"q2 ? @0 "? ?" -> a3"#);
}

//! Conversations in which nothing is missing, and what each of them says.

use super::{A, Q, Turns, run};

/// A conversation.
pub(super) struct Conversation {
    pub(super) name: &'static str,
    pub(super) turns: &'static Turns,
    /// What is found, one part a line.
    found: &'static str,
    /// The client sends requests while others are unanswered.
    pub(super) pipelined: bool,
    /// Where in the conversation that shows, if its requests and responses alternate so that it
    /// would otherwise look like a client that waits.
    pub(super) shows_at: usize,
}

const fn plain(name: &'static str, turns: &'static Turns, found: &'static str) -> Conversation {
    Conversation { name, turns, found, pipelined: false, shows_at: 0 }
}

const fn pipelined(name: &'static str, turns: &'static Turns, found: &'static str) -> Conversation {
    Conversation { name, turns, found, pipelined: true, shows_at: 0 }
}

#[test]
fn say_what_they_should() {
    let mut wrong = String::new();
    for Conversation { name, turns, found, .. } in CONVERSATIONS {
        let parts = run(turns).join("\n");
        let expected: Vec<_> = found.split('\n').map(str::trim).filter(|l| !l.is_empty()).collect();
        if parts != expected.join("\n") {
            wrong += &format!("\n== {name}\n{parts}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

pub(super) static CONVERSATIONS: &[Conversation] = &[
    plain(
        "keep-alive",
        &[
            (Q, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"),
            (A, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
            (Q, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"),
            (A, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
            (Q, "GET /c HTTP/1.1\r\nHost: x\r\n\r\n"),
            (A, "HTTP/1.1 404\r\ncontent-length:2\r\n\r\nno"),
        ],
        "
            0 GET /a
            asked 28 body 0
            0 200
            answered 43 body 5
            28 POST /b
            asked 80 body 4
            43 201
            answered 86 body 0
            80 GET /c
            asked 108 body 0
            86 404
            answered 122 body 2
        ",
    ),
    pipelined(
        "pipelined",
        &[
            (
                Q,
                "GET /1 HTTP/1.1\r\n\r\nHEAD /2 HTTP/1.1\r\n\r\nPOST /3 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /4 HTTP/1.1\r\n\r\n",
            ),
            (
                A,
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 201 OK\r\nContent-Length: 900\r\n\r\nHTTP/1.1 202 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 203 OK\r\nContent-Length: 0\r\n\r\n",
            ),
            (Q, "GET /5 HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 204 No Content\r\n\r\n"),
        ],
        "
            0 GET /1
            asked 19 body 0
            19 HEAD /2
            asked 39 body 0
            39 POST /3
            asked 81 body 3
            81 GET /4
            asked 100 body 0
            0 200
            answered 40 body 2
            40 201
            answered 80 body 0
            80 202
            answered 139 body 2
            139 203
            answered 177 body 0
            100 GET /5
            asked 119 body 0
            177 204
            answered 204 body 0
        ",
    ),
    Conversation {
        name: "pipelined, always two under way",
        turns: &[
            (Q, "GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\n"),
            (Q, "GET /3 HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 202 OK\r\nContent-Length: 0\r\n\r\n"),
            (Q, "GET /4 HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 203 OK\r\nContent-Length: 0\r\n\r\n"),
            (A, "HTTP/1.1 204 OK\r\n\r\n"),
        ],
        found: "
            0 GET /1
            asked 19 body 0
            19 GET /2
            asked 38 body 0
            0 201
            answered 38 body 0
            38 GET /3
            asked 57 body 0
            38 202
            answered 76 body 0
            57 GET /4
            asked 76 body 0
            76 203
            answered 114 body 0
            114 204
            answered 133 body 0
        ",
        pipelined: true,
        shows_at: 76,
    },
    plain(
        "chunked both ways, extensions, trailers, padded size, bare line feeds",
        &[
            (Q, "PUT /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"),
            (Q, "5;name=\"v\"\r\nhello\r\nA  \r\n0123456789\r\n"),
            (Q, "0\r\nDigest: abc\r\nX: y\r\n\r\n"),
            (A, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n3\nabc\n"),
            (A, "000\r\nServer-Timing: db;dur=1\r\n\r\n"),
            (Q, "GET /next HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!"),
        ],
        "
            0 PUT /up
            asked 108 body 15
            0 200
            answered 91 body 3
            108 GET /next
            asked 130 body 0
            91 200
            answered 130 body 1
        ",
    ),
    plain(
        "answers without a body",
        &[
            (Q, "HEAD /h HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
            (Q, "HEAD /hc HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            (Q, "GET /304 HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n"),
            (Q, "DELETE /204 HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 204 No Content\r\n\r\n"),
        ],
        "
            0 HEAD /h
            asked 20 body 0
            0 200
            answered 44 body 0
            20 HEAD /hc
            asked 41 body 0
            44 200
            answered 91 body 0
            41 GET /304
            asked 62 body 0
            91 304
            answered 140 body 0
            62 DELETE /204
            asked 86 body 0
            140 204
            answered 167 body 0
        ",
    ),
    plain(
        "100-continue, early hints and processing are no answers",
        &[
            (Q, "POST /p HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"),
            (A, "HTTP/1.1 100 Continue\r\n\r\n"),
            (Q, "body"),
            (
                A,
                "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </s.css>\r\n\r\n",
            ),
            (A, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            (
                Q,
                "POST /chunks HTTP/1.1\r\nexpect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n",
            ),
            (A, "HTTP/1.1 100 Continue\r\n\r\n"),
            (Q, "1\r\nx\r\n0\r\n\r\n"),
            (A, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        "
            0 POST /p
            asked 65 body 4
            96 200
            answered 134 body 0
            65 POST /chunks
            asked 151 body 1
            159 200
            answered 197 body 0
        ",
    ),
    plain(
        "100-continue refused: the body is not sent, or sent anyway",
        &[
            (Q, "POST /keep HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"),
            (A, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n"),
            (Q, "POST /anyway HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"),
            (A, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"),
            (Q, "GETs"),
            (Q, "GET /after HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        "
            0 POST /keep
            asked 64 body ?
            0 417
            answered 54 body 0
            64 POST /anyway
            asked 130 body ?
            54 401
            answered 102 body 0
            134 GET /after
            asked 157 body 0
            102 200
            answered 140 body 0
        ",
    ),
    plain(
        "websocket",
        &[
            (Q, "GET /chat HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
            (A, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\u{1}\u{2}frames"),
            (Q, "\u{1}more frames"),
        ],
        "
            0 GET /chat
            asked 63 body 0
            0 101
            answered 56 body 0
            Leave
        ",
    ),
    plain(
        "tunnel, refused once, with a client that does not wait",
        &[
            (Q, "CONNECT db:443 HTTP/1.1\r\nHost: db:443\r\n\r\n"),
            (A, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 4\r\n\r\nauth"),
            (Q, "CONNECT db:443 HTTP/1.1\r\nHost: db:443\r\n\r\n\u{16}\u{3}\u{1}hello"),
            (A, "HTTP/1.1 200 Connection established\r\n\r\n\u{16}\u{3}\u{3}"),
            (Q, "\u{17}\u{3}\u{3}data"),
        ],
        "
            0 CONNECT db:443
            asked 41 body 0
            0 407
            answered 69 body 4
            41 CONNECT db:443
            asked 82 body 0
            69 200
            answered 108 body 0
            Leave
        ",
    ),
    plain(
        "until close",
        &[
            (Q, "GET /old HTTP/1.0\r\n\r\n"),
            (A, "HTTP/1.0 200 OK\r\nServer: old\r\n\r\nsome"),
            (A, "body"),
        ],
        "
            0 GET /old
            asked 21 body 0
            0 200
            answered 40 body 8
        ",
    ),
    plain(
        "1.0 with keep-alive, leading and trailing empty lines",
        &[
            (
                Q,
                "\r\n\r\nPOST /a HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n1\r\n",
            ),
            (A, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok\r\n"),
            (Q, "\nGET /b HTTP/1.0\r\n\r\n"),
            (A, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ],
        "
            4 POST /a
            asked 68 body 1
            0 200
            answered 64 body 2
            71 GET /b
            asked 90 body 0
            66 200
            answered 106 body 2
        ",
    ),
    plain(
        "answered before the request is complete",
        &[
            (Q, "POST /big HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345"),
            (A, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"),
            (Q, "67890"),
            (Q, "POST /chunks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
            (A, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"),
            (Q, "5\r\nworld\r\n0\r\n\r\n"),
            (Q, "GET /after HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        "
            0 POST /big
            asked 52 body 10
            0 413
            answered 56 body 3
            52 POST /chunks
            56 413
            answered 112 body 3
            asked 130 body 10
            130 GET /after
            asked 153 body 0
            112 200
            answered 150 body 0
        ",
    ),
    plain(
        "refused before the head is complete",
        &[
            (Q, "GET /slow HTTP/1.1\r\nHost: x\r\nX-Never: en"),
            (A, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"),
            (Q, "ding\r\n\r\n"),
        ],
        "
            0 GET /slow
            asked 0 body ?
            0 408
            answered 51 body 0
        ",
    ),
    plain(
        "an idle connection is told that it timed out",
        &[
            (Q, "GET / HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            (A, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nlate"),
        ],
        "
            0 GET /
            asked 18 body 0
            0 200
            answered 38 body 0
            orphan
        ",
    ),
    plain(
        "forms of the target",
        &[
            (Q, "GET http://example.com:80/x?y=z HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            (Q, "OPTIONS * HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            (Q, "PROPFIND /caf\u{e9}?q=\u{4e2d} HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 207 Multi-Status\r\nContent-Length: 0\r\n\r\n"),
            (Q, "CONNECT [::1]:443 HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
        ],
        "
            0 GET http://example.com:80/x?y=z
            asked 44 body 0
            0 200
            answered 38 body 0
            44 OPTIONS *
            asked 66 body 0
            38 200
            answered 76 body 0
            66 PROPFIND /café?q=中
            asked 100 body 0
            76 207
            answered 124 body 0
            100 CONNECT [::1]:443
            asked 130 body 0
            124 502
            answered 171 body 0
        ",
    ),
    plain(
        "coding wins over length, equal lengths are one",
        &[
            (
                Q,
                "POST /te HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            ),
            (
                A,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n0\r\n\r\n",
            ),
            (Q, "POST /cl HTTP/1.1\r\nContent-Length: 3, 3\r\nContent-Length: 3\r\n\r\nabc"),
            (A, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        "
            0 POST /te
            asked 79 body 1
            0 200
            answered 71 body 0
            79 POST /cl
            asked 144 body 3
            71 200
            answered 109 body 0
        ",
    ),
    plain(
        "contradicting lengths: the call is kept, its size is not known",
        &[
            (Q, "POST /cl HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
            (A, "HTTP/1.1 400 Bad Request\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"),
            (Q, "GET /after HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        "
            0 POST /cl
            asked 0 body ?
            0 400
            answered ? body ?
            62 GET /after
            asked 85 body 0
            67 200
            answered 105 body 0
        ",
    ),
    plain(
        "malformed header lines and broken chunks lose the framing, not the call",
        &[
            (Q, "GET /bad HTTP/1.1\r\nHost: x\r\nbad line\r\n\r\n"),
            (A, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n"),
            (A, "HTTP/1.1 200 not a head\r\n\r\n"),
            (Q, "GET /after HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 200 OK\r\nContent-Length : 2\r\nX: a\r\n  b\r\n\r\nok"),
        ],
        "
            0 GET /bad
            asked 0 body ?
            0 200
            answered ? body ?
            40 GET /after
            asked 63 body 0
            85 200
            answered 137 body 2
        ",
    ),
    plain(
        "event stream",
        &[
            (Q, "GET /events HTTP/1.1\r\nAccept: text/event-stream\r\n\r\n"),
            (A, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            (A, "d\r\ndata: hello\r\n\r\n"),
            (A, "d\r\ndata: world\r\n\r\n"),
        ],
        "
            0 GET /events
            asked 51 body 0
            0 200
        ",
    ),
    plain(
        "a server that sends a body after HEAD",
        &[
            (Q, "HEAD /h HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"),
            (Q, "GET /after HTTP/1.1\r\n\r\n"),
            (A, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        "
            0 HEAD /h
            asked 20 body 0
            0 200
            answered 38 body 0
            20 GET /after
            asked 43 body 0
            42 200
            answered 80 body 0
        ",
    ),
];

"""Conversations of protocols that are not known, or not as they are spoken, and one of Redis."""

import random
import struct

random.seed(1)  # the same bytes in every run: what fails once fails again


def noise(size):
    return random.randbytes(size)


def framed(payload):
    return struct.pack(">I", len(payload)) + payload


# Commands, with what looks like HTTP in them.
REDIS = [
    (b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"),
    (b"*2\r\n$3\r\nGET\r\n$1\r\n/\r\n", b"$-1\r\n"),
    (b"PING\r\n", b"+PONG\r\n"),
    (b"GET key\r\n", b"$5\r\nvalue\r\n"),
    (b"*3\r\n$3\r\nSET\r\n$4\r\npage\r\n$16\r\nGET / HTTP/1.1\r\n\r\n", b"+OK\r\n"),
]

# Turns of (client's bytes, server's bytes).
CONVERSATIONS = {
    "clamd": [(b"PING\r\n", b"PONG\r\n")],
    "nats": [
        (b"", b'INFO {"server_id":"x"}\r\n'),
        (b'CONNECT {"verbose":true}\r\nPING\r\n', b"+OK\r\nPONG\r\n"),
        (b"PUB a 5\r\nhello\r\n", b"+OK\r\n"),
    ],
    "pop3": [(b"", b"+OK ready\r\n"), (b"USER me\r\n", b"+OK\r\n"), (b"QUIT\r\n", b"+OK bye\r\n")],
    "no answers of redis": [
        (b"*1\r\n$4\r\nPING\r\n", b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"),
        (b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"),
    ],
    "no commands of redis": [(b"*2\r\n$7\r\nUNKNOWN\r\n$1\r\na\r\n", b"+OK\r\n")] * 2,
    "memcached": [
        (b"get /index HTTP\r\n", b"END\r\n"),
        (b"set a 0 0 5\r\nhello\r\n", b"STORED\r\n"),
        (b"get a\r\n", b"VALUE a 0 5\r\nhello\r\nEND\r\n"),
        (b"delete a\r\n", b"DELETED\r\n"),
    ],
    "beanstalk": [(b"put 0 0 60 5\r\nhello\r\n", b"INSERTED 1\r\n"), (b"delete 1\r\n", b"DELETED\r\n")],
    "smtp": [
        (b"", b"220 mail ESMTP\r\n"),
        (b"EHLO me\r\n", b"250-mail\r\n250 HELP\r\n"),
        (b"DATA\r\n", b"354 go on\r\n"),
        (b"Subject: GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n.\r\n", b"250 queued\r\n"),
        (b"QUIT\r\n", b"221 bye\r\n"),
    ],
    "rtsp": [
        (b"OPTIONS rtsp://host/movie RTSP/1.0\r\nCSeq: 1\r\n\r\n", b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"),
        (b"DESCRIBE rtsp://host/movie RTSP/1.0\r\nCSeq: 2\r\n\r\n", b"RTSP/1.0 404 Not Found\r\nCSeq: 2\r\n\r\n"),
    ],
    "sip": [(b"OPTIONS sip:bob@host SIP/2.0\r\nCSeq: 1 OPTIONS\r\n\r\n", b"SIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\n\r\n")],
    "ssh": [(b"SSH-2.0-client\r\n" + noise(300), b"SSH-2.0-server\r\n" + noise(300)), (noise(64), noise(64))],
    "http/2": [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5), bytes(3) + b"\x04" + bytes(5)),
        (b"\x00\x00\x01\x01\x05\x00\x00\x00\x01\x82", b"\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88"),
    ],
    "postgres": [
        (struct.pack(">II", 8, 80877103), b"N"),
        (framed(b"\x00\x03\x00\x00user\x00me\x00\x00"), b"R" + struct.pack(">II", 8, 0)),
        (b"Q" + struct.pack(">I", 20) + b"SELECT 'GET /'\x00", b"C" + struct.pack(">I", 13) + b"SELECT 1\x00"),
    ],
    "mysql": [(b"", b"\x4a\x00\x00\x00\x0a8.0.1\x00" + noise(60)), (b"\x09\x00\x00\x00\x03SELECT 1", b"\x01\x00\x00\x01\x01")],
    "frames with HTTP inside": [
        (framed(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"), framed(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")),
    ] * 3,
    "almost HTTP": [
        (b"GET / HTTP/3.7\r\n\r\n", b"what?\r\n"),
        (b"GET /\r\n", b"<html>\r\n"),
        (b"HELO HTTP\r\n\r\n", b"HTTP/1.1\r\n"),
    ],
    "one word": [(b"GET", b"POST"), (b"P", b"H"), (b"HTTP/", b"HTTP/1")],
}
for n in range(60):
    CONVERSATIONS["noise %d" % n] = [(noise(random.randrange(1, 3000)), noise(random.randrange(1, 3000))) for _ in range(4)]
LARGE = [(noise(300_000), noise(300_000))] * 3
CONVERSATIONS["large noise"] = LARGE


def exactly(sock, size):
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        assert part, "closed"
        data += part
    return data


def serve(sock, turns):
    for question, answer in turns:
        exactly(sock, len(question))
        sock.sendall(answer)
    sock.close()

"""A client by hand. Usage: client.py PLAN LOG READ/WRITE SHAPE

It keeps one connection for each host of the plan, all of them to $UNIX_SOCKET if that is set
(`pair`: to a server of its own, over a socketpair).
Shapes:
  calls      one after the other
  pipelined  three requests of a host in one write and their answers; after half a second the
             others in one write, then all answers
  dribbled   the same, in writes of seven bytes
  burst      all requests of a host in one write, then all answers
  slow       a small receive buffer and pauses between the reads
  peer-less  answers may be missing; the connection is given up after each call
  impatient  does not wait for an answer for longer than 0.2 s
  partial-body  sends only a part of the body, then reads the answer
  raw        after the answer it sends what looks like a request and reads what comes (upgrades)
  http10     HTTP/1.0 requests; http10-keep: with Connection: keep-alive
  waiting    sends the body after `100 Continue`
"""

import itertools
import json
import os
import signal
import socket
import sys
import threading
import time
from urllib.parse import urlsplit

from wire import WRITE, Closed, Stream, no_delay

plan_file, log_file, style, shape = sys.argv[1:]
read, write = style.split("/")
now = time.time_ns
stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
log = open(log_file, "w", buffering=1)


class Call:
    def __init__(self, line):
        self.id, self.method, self.url, body, flags = line.rstrip("\n").split("\t")
        self.body, self.flags = int(body), dict((f + "=").split("=")[:2] for f in flags.split(",") if f)
        url = urlsplit(self.url)
        self.host = (url.hostname, url.port)
        target = url.path + "?" + url.query
        headers = ["host: " + url.netloc, "user-agent: by-hand"]
        if "chunked" in self.flags:
            headers.append("transfer-encoding: chunked")
        elif self.body:
            headers.append("content-length: %d" % self.body)
        if self.method == "CONNECT":
            target = url.netloc
            headers[1] = "user-agent: by-hand?call=" + self.id
        if "absolute" in self.flags:
            target = self.url
        if "upgrade" in self.flags:
            headers += ["connection: upgrade", "upgrade: websocket"]
        if shape == "http10-keep":
            headers.append("connection: keep-alive")
        if shape == "waiting":
            headers.append("expect: 100-continue")
        left = int(self.flags.get("pad", 0))
        for n in range(left // 4000):
            headers.append("x-pad-%d: %s" % (n, "p" * 4000))
        version = "HTTP/1.0" if shape.startswith("http10") else "HTTP/1.1"
        self.head = "\r\n".join(["%s %s %s" % (self.method, target, version), *headers, "", ""]).encode()

    def payload(self):
        data = b"x" * self.body
        if "chunked" not in self.flags:
            return data
        parts = (data[n : n + 700] for n in range(0, len(data), 700))
        return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"

    def log(self, start, port, status, received, read):
        line = {"call": self.id, "method": self.method, "url": self.url, "status": status, "received": received,
                "sent": self.body, "start": start, "end": now(), "read": read, "pid": os.getpid(), "port": port}
        log.write(json.dumps(line) + "\n")


def pair():
    """A connection with a server in this process, over a socketpair."""
    from server import Connection

    ours, its = socket.socketpair()
    threading.Thread(target=Connection(its, read, write).serve, daemon=True).start()
    return ours


def connect(host):
    if path := os.environ.get("UNIX_SOCKET"):
        if path == "pair":
            return pair()
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path.replace("@", "\0", 1) if path.startswith("@") else path)
        return sock
    sock = socket.socket(socket.AF_INET6 if ":" in host[0] else socket.AF_INET)
    if shape == "slow":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # before connecting: no scaling
    if shape == "impatient":
        sock.settimeout(0.2)
    sock.connect(host)
    return sock


class Slow(Stream):
    def fill(self):
        time.sleep(0.001)
        super().fill()


def answer(stream, call):
    while True:
        first, headers = stream.head()
        status = int(first.split(" ")[1])
        if status == 101 or status >= 200:
            break
    bare = call.method in ("HEAD", "CONNECT") or status in (101, 204, 304)
    return status, 0 if bare else stream.body(headers, to_end=True), headers


connections = {}


def connection(call):
    if call.host not in connections:
        sock = connect(call.host)
        connections[call.host] = sock, (Slow if shape == "slow" else Stream)(sock, read)
    return connections[call.host]


def port_of(sock):
    return None if sock.family == socket.AF_UNIX else sock.getsockname()[1]


def one(call):
    sock, stream = connection(call)
    port = port_of(sock)
    start = now()
    if shape == "waiting":
        WRITE[write](sock, call.head, b"")
        first, _ = stream.head()
        assert " 100 " in first, first
        WRITE[write](sock, b"", call.payload())
    elif shape == "partial-body":
        WRITE[write](sock, call.head, call.payload()[:1000])
    else:
        WRITE[write](sock, call.head, call.payload())
    try:
        status, received, headers = answer(stream, call)
    except (Closed, ConnectionError, TimeoutError):
        status, received, headers = 0, 0, {}
    if shape == "raw":
        # Whatever this is, it is not a request: the connection speaks something else now.
        sock.sendall(b"GET /ghost?call=%s HTTP/1.1\r\nhost: ghost\r\n\r\n" % call.id.encode())
        sock.settimeout(0.3)
        try:
            while sock.recv(65536):
                pass
        except TimeoutError:
            pass
    done = shape in ("peer-less", "impatient", "partial-body", "raw", "http10")
    if done or headers.get("connection") == "close" or not status:
        connections.pop(call.host)[0].close()
    call.log(start, port, status, received, stream.filled)


def together(group):
    sock, stream = connection(group[0])
    data = b"".join(call.head + call.payload() for call in group)
    start = now()
    if shape == "dribbled":
        no_delay(sock)
        for n in range(0, len(data), 7):
            sock.sendall(data[n : n + 7])
    else:
        WRITE[write](sock, data, b"")
    for call in group:
        status, received, _ = answer(stream, call)
        call.log(start, port_of(sock), status, received, stream.filled)


def pipelined(calls):
    for _, group in itertools.groupby(calls, key=lambda call: call.host):
        group = list(group)
        if shape != "burst":
            together(group[:3])
            time.sleep(0.5)
            del group[:3]
        together(group)


with open(plan_file) as plan:
    calls = (Call(line) for line in plan)
    if shape in ("pipelined", "dribbled", "burst"):
        pipelined(calls)
    else:
        for call in calls:
            if stopping:
                break
            one(call)
            time.sleep(int(call.flags.get("pause", 0)) / 1000)

"""A server by hand. Usage: server.py READ/WRITE:PORT...  (ways of wire.py, a listener for each; a
path or @name in place of the port: a UNIX socket)

Beside /bytes, /echo and /chunked it has paths that no real server serves on purpose:
/close/N (no length: ended by close), /interim (103 first), /trailers, /early (answers before it
reads the body), /413 (answers, never reads the body), /ws (upgrades, then sends what looks like
HTTP), CONNECT (a tunnel that echoes), /hangup, /reset, /half (ends within the body), /stall.
"""

import socket
import struct
import sys
import threading
from urllib.parse import urlsplit

from wire import WRITE, Closed, Stream


def head(status, *headers, version="HTTP/1.1"):
    return "\r\n".join(["%s %s" % (version, status), *headers, "", ""]).encode()


def sized(status, body, *headers):
    return head(status, "content-length: %d" % len(body), *headers), body


class Connection:
    def __init__(self, sock, read, write):
        self.sock, self.stream, self.write = sock, Stream(sock, read), WRITE[write]

    def serve(self):
        try:
            while self.answer():
                pass
        except (Closed, ConnectionError):
            pass
        finally:
            self.sock.close()

    def answer(self):
        """Answers one request; false: the connection is done."""
        first, headers = self.stream.head()
        method, target, version = first.split(" ")
        if method == "CONNECT":
            self.write(self.sock, head("200 Connection established"), b"")
            return self.echo_raw()
        what, *rest = urlsplit(target).path.strip("/").split("/")
        special = getattr(self, "do_" + what, None)
        if special:
            return special(headers, *rest)
        if headers.get("expect") == "100-continue":
            self.write(self.sock, head("100 Continue"), b"")
        received = self.stream.body(headers)
        size = received if what == "echo" else int(rest[0])
        if version == "HTTP/1.0" and headers.get("connection", "").lower() != "keep-alive":
            self.write(self.sock, head("200 OK", "content-length: %d" % size, version="HTTP/1.0"), b"x" * size)
            return False
        self.write(self.sock, *sized("200 OK", b"" if method == "HEAD" else b"x" * size))
        return True

    def echo_raw(self):
        self.sock.sendall(self.stream.buffer)
        while data := self.sock.recv(65536):
            self.sock.sendall(data)
        return False

    def do_close(self, headers, size):
        self.write(self.sock, head("200 OK", "connection: close"), b"x" * int(size))
        return False

    def do_interim(self, headers):
        self.write(self.sock, head("103 Early Hints", "link: </style.css>; rel=preload"), b"")
        self.write(self.sock, *sized("200 OK", b"final"))
        return True

    def do_trailers(self, headers):
        body = b"3;name=value\r\nabc\r\n0A\r\n0123456789\r\n0\r\nx-checksum: 1\r\nx-more: 2\r\n\r\n"
        self.write(self.sock, head("200 OK", "transfer-encoding: chunked", "trailer: x-checksum"), body)
        return True

    def do_early(self, headers):
        self.write(self.sock, *sized("200 OK", b"early"))
        self.stream.body(headers)
        return True

    def do_413(self, headers):
        self.write(self.sock, *sized("413 Content Too Large", b"too large", "connection: close"))
        self.sock.shutdown(socket.SHUT_WR)
        while self.sock.recv(65536):
            pass  # closing with bytes unread would reset the connection and lose the answer
        return False

    def do_ws(self, headers):
        self.write(self.sock, head("101 Switching Protocols", "upgrade: websocket", "connection: upgrade"), b"")
        text = b"GET /ghost HTTP/1.1\r\nhost: ghost\r\n\r\n"
        for payload in (b"hello", text, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"):
            self.sock.sendall(bytes([0x82, len(payload)]) + payload)
        self.sock.sendall(text)  # not even a frame: still nobody's request
        return self.echo_raw()

    def do_hangup(self, headers):
        return False

    def do_reset(self, headers):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    def do_half(self, headers):
        self.sock.sendall(head("200 OK", "content-length: 1000") + b"x" * 500)
        return False

    def do_stall(self, headers):
        self.sock.recv(1)
        return False


def listen(read, write, port):
    if port.isdigit():
        server = socket.create_server(("", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
    else:
        server = socket.socket(socket.AF_UNIX)
        server.bind(port.replace("@", "\0", 1) if port.startswith("@") else port)
        server.listen(128)
    while True:
        sock, _ = server.accept()
        threading.Thread(target=Connection(sock, read, write).serve, daemon=True).start()


if __name__ == "__main__":
    threads = []
    for argument in sys.argv[1:]:
        style, port = argument.split(":", 1)
        threads.append(threading.Thread(target=listen, args=(*style.split("/"), port)))
    for thread in threads:
        thread.start()

"""HTTP by hand over blocking sockets: every way that Linux has of reading and writing them.

Real programs use only a few of these ways each; a tracer of sockets must know them all.
"""

import mmap
import os
import socket
import tempfile
import time

SO_ZEROCOPY, MSG_ZEROCOPY = 60, 0x4000000


# --- Reading: each takes (socket, most bytes) and returns bytes, b"" at the end -----------------

def recv_into(sock, size):
    buffer = bytearray(size)
    return bytes(buffer[: sock.recv_into(buffer)])


def recvfrom(sock, size):
    return sock.recvfrom(size)[0]


def recvmsg(sock, size):
    return sock.recvmsg(size)[0]


def vectors(size):
    """Buffers of 1, 2, 3, ... bytes and a large one: what is read never ends at a buffer's end."""
    buffers = [bytearray(n) for n in range(1, 20)]
    return buffers + [bytearray(size)]


def joined(buffers, size):
    return b"".join(buffers)[:size]


def recvmsg_into(sock, size):
    buffers = vectors(size)
    return joined(buffers, sock.recvmsg_into(buffers)[0])


def readv(sock, size):
    buffers = vectors(size)
    return joined(buffers, os.readv(sock.fileno(), buffers))


def peek(sock, size):
    """Looks before it takes, as protocol sniffers and some TLS terminators do."""
    seen = sock.recv(size, socket.MSG_PEEK)
    sock.recv(size, socket.MSG_PEEK)
    taken = b""
    while len(taken) < len(seen):
        taken += sock.recv(len(seen) - len(taken))
    assert taken == seen
    return taken


def nonblocking(sock, size):
    """Asks first and is told EAGAIN most of the time, as event loops do."""
    try:
        return sock.recv(size, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return sock.recv(size)


READ = {
    "recv": lambda sock, size: sock.recv(size),
    "read": lambda sock, size: os.read(sock.fileno(), size),
    "recv-1": lambda sock, size: sock.recv(1),
    "recv-7": lambda sock, size: sock.recv(7),
    "recv_into": recv_into,
    "recvfrom": recvfrom,
    "recvmsg": recvmsg,
    "recvmsg_into": recvmsg_into,
    "readv": readv,
    "peek": peek,
    "nonblocking": nonblocking,
}


# --- Writing: each takes (socket, head, body) ----------------------------------------------------

def cut(data, pieces):
    """At least `pieces` parts (as far as there are bytes), in order."""
    size = max(1, len(data) // pieces)
    return [data[n : n + size] for n in range(0, len(data), size)]


def all_of(call, buffers):
    """Calls a gathering write until everything is out."""
    while buffers:
        sent = call(buffers[:1024])
        while buffers and sent >= len(buffers[0]):
            sent -= len(buffers.pop(0))
        if sent:
            buffers[0] = buffers[0][sent:]


def one_send(sock, head, body):
    sock.sendall(head + body)


def two_sends(sock, head, body):
    sock.sendall(head)
    if body:
        sock.sendall(body)


def write(sock, head, body):
    data = memoryview(head + body)
    while data:
        data = data[os.write(sock.fileno(), data) :]


def no_delay(sock):
    """UNIX sockets never wait."""
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def bytewise(sock, head, body):
    """The head in writes of one byte each, without waiting for them to be joined."""
    no_delay(sock)
    for n in range(len(head)):
        sock.sendall(head[n : n + 1])
    sock.sendall(body)


def sendmsg_600(sock, head, body):
    """More buffers than fit into a single page of them."""
    all_of(sock.sendmsg, cut(head, 300) + cut(body, 300))


def writev_600(sock, head, body):
    all_of(lambda buffers: os.writev(sock.fileno(), buffers), cut(head, 300) + cut(body, 300))


def more(sock, head, body):
    sock.sendall(head, socket.MSG_MORE if body else 0)
    sock.sendall(body)


def sendfile(sock, head, body):
    sock.sendall(head)
    with tempfile.TemporaryFile() as file:
        file.write(body)
        file.flush()
        offset = 0
        while offset < len(body):
            offset += os.sendfile(sock.fileno(), file.fileno(), offset, len(body) - offset)


def splice(sock, head, body):
    """The body through a pipe, without ever being in this process as far as the socket knows."""
    sock.sendall(head)
    reading, writing = os.pipe()
    try:
        for n in range(0, len(body), 32768):
            left = os.write(writing, body[n : n + 32768])
            while left:
                left -= os.splice(reading, sock.fileno(), left)
    finally:
        os.close(reading)
        os.close(writing)


def zerocopy(sock, head, body):
    sock.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    sock.sendall(head)
    memory = mmap.mmap(-1, max(1, len(body)))  # must not change before the kernel is done with it
    memory[: len(body)] = body
    data = memoryview(memory)[: len(body)]
    while data:
        data = data[sock.send(data, MSG_ZEROCOPY) :]
    KEPT.append((data, memory))


KEPT = []


def partial(sock, head, body):
    """A small send buffer and a writer that does not wait: sends are accepted in part, or not at
    all, and the same bytes are offered again."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    data = memoryview(head + body)
    while data:
        try:
            data = data[sock.send(data, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            data = data[sock.send(data[:1]) :]


def refused(sock, head, body):
    """Offers memory that cannot be read first: the kernel refuses, and nothing may be taken for
    sent."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.send(sock.fileno(), ctypes.c_void_p(16), len(head), 0) == -1  # EFAULT
    sock.sendall(head + body)


WRITE = {
    "one-send": one_send,
    "two-sends": two_sends,
    "write": write,
    "bytewise": bytewise,
    "sendmsg-600": sendmsg_600,
    "writev-600": writev_600,
    "more": more,
    "sendfile": sendfile,
    "splice": splice,
    "zerocopy": zerocopy,
    "partial": partial,
    "refused": refused,
}


# --- Messages --------------------------------------------------------------------------------------

class Closed(Exception):
    """The peer ended the connection within a message or before it."""


class Stream:
    """Reads messages from a socket in one of the ways above."""

    def __init__(self, sock, read="recv"):
        self.sock, self.read, self.buffer = sock, READ[read], b""
        self.filled = 0  # when the last read returned

    def fill(self):
        data = self.read(self.sock, 65536)
        self.filled = time.time_ns()
        if not data:
            raise Closed
        self.buffer += data

    def take(self, size):
        while len(self.buffer) < size:
            self.fill()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def head(self):
        """First line, headers by lower-case name."""
        first, headers = self.line().decode("latin-1"), {}
        while line := self.line():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return first, headers

    def body(self, headers, to_end=False):
        """Its size. `to_end`: a body of unknown length goes on until the peer closes."""
        if "chunked" in headers.get("transfer-encoding", ""):
            total = 0
            while size := int(self.line().split(b";")[0], 16):
                total += len(self.take(size))
                self.take(2)
            while self.line():
                pass  # trailers
            return total
        if "content-length" in headers or not to_end:
            return len(self.take(int(headers.get("content-length", 0))))
        total = len(self.buffer)
        self.buffer = b""
        while data := self.read(self.sock, 65536):
            total += len(data)
        return total

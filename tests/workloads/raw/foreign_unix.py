"""Talks everything but HTTP/1 over UNIX sockets with itself, and what looks like HTTP over those
that have no streams. Prints how many conversations it had; the last one is a real HTTP call.
"""

import array
import os
import socket
import struct
import threading

from conversations import CONVERSATIONS, exactly, serve

REQUEST = b"GET /ghost HTTP/1.1\r\nhost: x\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def talk(turns):
    client, server = socket.socketpair()
    thread = threading.Thread(target=lambda: serve(server, turns))
    thread.start()
    for question, answer in turns:
        client.sendall(question)
        exactly(client, len(answer))
    client.close()
    thread.join()


def dbus(kind, serial, body):
    """A message of D-Bus in its framing, without header fields."""
    return struct.pack("<cBBBIII", b"l", kind, 0, 1, len(body), serial, 0) + body


def descriptors():
    """SCM_RIGHTS, each with a byte of data, between messages without."""
    client, server = socket.socketpair()
    for n in range(20):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [client.fileno()]))]
        client.sendmsg([b"G"], rights)
        _, ancillary, _, _ = server.recvmsg(1, socket.CMSG_SPACE(4))
        os.close(struct.unpack("i", ancillary[0][2])[0])
        server.sendall(REQUEST[:7])
        exactly(client, 7)
    client.close()
    server.close()


def packets(kind):
    """Whole messages of HTTP, in sockets that are no streams."""
    client, server = socket.socketpair(socket.AF_UNIX, kind)
    for _ in range(20):
        client.send(REQUEST)
        assert server.recv(4096) == REQUEST
        server.send(ANSWER)
        assert client.recv(4096) == ANSWER
    client.close()
    server.close()


for turns in CONVERSATIONS.values():
    talk(turns)
talk([(b"\0AUTH EXTERNAL 30\r\n", b"OK 1234\r\n"), (b"NEGOTIATE_UNIX_FD\r\n", b"AGREE_UNIX_FD\r\n")]
     + [(dbus(1, n, REQUEST), dbus(2, n, ANSWER)) for n in range(1, 20)])
descriptors()
packets(socket.SOCK_DGRAM)
packets(socket.SOCK_SEQPACKET)

call = b"GET /control?call=%s HTTP/1.1\r\nhost: x\r\n\r\n" % os.environb[b"CALL"]
talk([(call, b"HTTP/1.1 204 No Content\r\n\r\n")])
print(len(CONVERSATIONS) + 4)

"""Talks what the agent does not know over TCP with itself. Usage: foreign.py CERTIFICATE KEY

Then it makes one real HTTP call, so that it is known that its sockets were watched at all, talks
Redis, with what looks like HTTP in it, and prints how many conversations it had before.
"""

import os
import socket
import ssl
import sys
import threading

from conversations import CONVERSATIONS, REDIS, exactly, serve


def talk(turns, wrap_client=lambda s: s, wrap_server=lambda s: s):
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    listener.close()
    thread = threading.Thread(target=lambda: serve(wrap_server(server), turns))
    thread.start()
    client = wrap_client(client)
    for question, answer in turns:
        client.sendall(question)
        exactly(client, len(answer))
    client.close()
    thread.join()


for turns in CONVERSATIONS.values():
    talk(turns)

certificate, key = sys.argv[1:]
of_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
of_server.load_cert_chain(certificate, key)
of_client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
of_client.load_verify_locations(certificate)
of_client.check_hostname = False
HTTP = [(b"GET /secret HTTP/1.1\r\nhost: x\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")] * 20
for _ in range(10):
    talk(HTTP, of_client.wrap_socket, lambda s: of_server.wrap_socket(s, server_side=True))

call = b"GET /control?call=%s HTTP/1.1\r\nhost: x\r\n\r\n" % os.environb[b"CALL"]
talk([(call, b"HTTP/1.1 204 No Content\r\n\r\n")])
talk(REDIS)
print(len(CONVERSATIONS) + 10)

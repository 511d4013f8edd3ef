"""Python's own http.server. Usage: http_server.py PORT|PATH [HTTP/1.0|HTTP/1.1]"""

import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from socketserver import ThreadingMixIn, UnixStreamServer

from common import answer, events


class Handler(BaseHTTPRequestHandler):
    protocol_version = sys.argv[2] if len(sys.argv) > 2 else "HTTP/1.1"

    def read_body(self):
        if "chunked" in self.headers.get("transfer-encoding", ""):
            total = 0
            while size := int(self.rfile.readline().split(b";")[0], 16):
                total += len(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return total
        return len(self.rfile.read(int(self.headers.get("content-length", 0))))

    def respond(self):
        received = self.read_body()
        path, _, query = self.path.partition("?")
        if path.startswith("/sse/"):
            count, pause = map(int, path[5:].split("/"))
            return self.stream(events(count, pause, time.sleep), [("content-type", "text/event-stream")])
        reply = answer(path, query, received)
        time.sleep(reply.delay)
        if reply.chunks is not None:
            return self.stream(reply.chunks, reply.headers)
        self.send_response(reply.status)
        for header in reply.headers:
            self.send_header(*header)
        self.say_close()
        if reply.status not in (204, 304):
            self.send_header("content-length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def stream(self, chunks, headers):
        """Chunked in HTTP/1.1, ended by close in HTTP/1.0."""
        chunked = self.protocol_version == "HTTP/1.1"
        self.send_response(200)
        for header in headers:
            self.send_header(*header)
        if chunked:
            self.send_header("transfer-encoding", "chunked")
        self.say_close()
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk) if chunked else chunk)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True

    def say_close(self):
        """Java's client pools a connection of HTTP/1.0 unless told that it ends, sends the next call
        on it when it is quicker than the close, and then repeats that call or fails."""
        one_call = self.protocol_version == "HTTP/1.0"
        if one_call and self.headers.get("user-agent", "").startswith("Java-http-client"):
            self.send_header("connection", "close")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = respond

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6  # dual stack: IPv4 peers appear as mapped addresses
    daemon_threads = True
    request_queue_size = 128


class UnixServer(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


at = sys.argv[1]
server = UnixServer(at, Handler) if at.startswith("/") else Server(("::", int(at)), Handler)
server.serve_forever()

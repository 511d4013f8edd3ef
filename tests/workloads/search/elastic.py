"""Not Elasticsearch, but a server that answers as it does (there is none to install):
`elastic.py PORT elasticsearch`, with its product's header; `elastic.py PORT none`, without, as any
service with such paths. What is asked has status 200, a document that is put 201, one asked for by
the name `none` 404. `_bulk` is answered in chunks, with an item for each source.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        asked = self.body()
        path = self.path.split("?")[0]
        status = 200
        if self.command == "PUT" and "/_doc/" in path:
            status = 201
        if path.endswith("/none"):
            status = 404
        bulk = path.endswith("/_bulk")
        items = ",".join(['{"index":{"status":201}}'] * (asked.count(b"\n") // 2))
        body = b'{"errors":false,"took":1,"items":[%s]}' % items.encode() if bulk else b'{"took":1}'
        self.send_response(status)
        if sys.argv[2] == "elasticsearch":
            self.send_header("X-elastic-product", "Elasticsearch")
        self.send_header("content-type", "application/vnd.elasticsearch+json;compatible-with=8")
        if bulk:
            self.send_header("transfer-encoding", "chunked")
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:100], body[100:])) + b"0\r\n\r\n"
        else:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self):
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size + 2)[:size])
        self.rfile.readline()
        return b"".join(parts)

    def log_message(self, *_):
        pass

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer


class Server(ThreadingHTTPServer):
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()

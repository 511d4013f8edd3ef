"""Not Elasticsearch, but a server that answers as it does (there is none to install):
`elastic.py PORT elasticsearch`, with its product's header; `elastic.py PORT none`, without, as any
service with such paths. What is asked has status 200, a document that is put 201, one asked for by
the name `none` 404.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.body()
        path = self.path.split("?")[0]
        status = 200
        if self.command == "PUT" and "/_doc/" in path:
            status = 201
        if path.endswith("/none"):
            status = 404
        body = b'{"took":1}'
        self.send_response(status)
        if sys.argv[2] == "elasticsearch":
            self.send_header("X-elastic-product", "Elasticsearch")
        self.send_header("content-type", "application/vnd.elasticsearch+json;compatible-with=8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self):
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        while size := int(self.rfile.readline(), 16):
            self.rfile.read(size + 2)
        self.rfile.readline()

    def log_message(self, *_):
        pass

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer


class Server(ThreadingHTTPServer):
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()

"""A WSGI application without a framework, for gunicorn."""

import time
from http import HTTPStatus

from common import answer, events


def app(environ, start_response):
    received = 0
    while data := environ["wsgi.input"].read(65536):
        received += len(data)
    path = environ["PATH_INFO"]
    if path.startswith("/sse/"):
        count, pause = map(int, path[5:].split("/"))
        start_response("200 OK", [("content-type", "text/event-stream")])
        return events(count, pause, time.sleep)
    reply = answer(path, environ["QUERY_STRING"], received)
    time.sleep(reply.delay)
    status = "%d %s" % (reply.status, HTTPStatus(reply.status).phrase)
    if reply.chunks is not None:
        start_response(status, reply.headers)
        return reply.chunks
    if reply.status not in (204, 304):
        reply.headers.append(("content-length", str(len(reply.body))))
    start_response(status, reply.headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [reply.body]

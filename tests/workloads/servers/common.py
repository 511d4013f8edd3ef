"""What the Python servers share: the meaning of the paths (see ../README.md)."""

from urllib.parse import parse_qs


class Answer:
    """A response before any framing: `chunks` is None where the body has a known length."""

    def __init__(self, status, body=b"", chunks=None, headers=(), delay=0.0):
        self.status = status
        self.body = body
        self.chunks = chunks
        self.headers = list(headers)
        self.delay = delay


def pieces(total, size=1000):
    while total > 0:
        yield b"x" * min(total, size)
        total -= size


def pad_headers(total):
    """Headers of `total` bytes; each short enough for every parser's limit on one field."""
    headers = []
    while total > 0:
        headers.append(("x-pad-%d" % len(headers), "p" * min(total, 4000)))
        total -= 4000
    return headers


def events(count, pause, sleep):
    for n in range(count):
        if n:
            sleep(pause / 1000)
        yield b"data: %d\n\n" % n


def answer(path, query, received):
    """The answer to a request for `path` that carried `received` bytes. SSE is the server's own."""
    what, _, rest = path.lstrip("/").partition("/")
    if what == "bytes":
        return Answer(200, b"x" * int(rest))
    if what == "chunked":
        return Answer(200, chunks=pieces(int(rest)))
    if what == "echo":
        return Answer(200, b"x" * received)
    if what == "status":
        return Answer(int(rest), b"" if rest in ("204", "304") else b"status\n")
    if what == "redirect":
        call = parse_qs(query)["call"][0]
        return Answer(302, headers=[("location", "/bytes/10?call=%s.r" % call)])
    if what == "delay":
        return Answer(200, b"delayed\n", delay=int(rest) / 1000)
    if what == "pad":
        return Answer(200, b"ok", headers=pad_headers(int(rest)))
    return Answer(404, b"unknown")

"""The requests library, one session per thread."""

import time

import requests

from plan import log, now, run_threads


def worker(next_call):
    session = requests.Session()
    session.trust_env = False
    while call := next_call():
        data = call.chunks() if call.chunked else b"x" * call.body if call.body else None
        if call.expect:
            call.headers["Expect"] = "100-continue"
        start = now()
        response = session.request(call.method, call.url, data=data, headers=call.headers)
        received = len(response.content)
        log.write(call, start, now(), response.status_code, received)
        time.sleep(call.pause)


run_threads(worker)

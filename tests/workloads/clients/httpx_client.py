"""httpx with its synchronous client, one per thread."""

import os
import time

import httpx

from plan import log, now, run_threads


def worker(next_call):
    transport = httpx.HTTPTransport(uds=os.environ.get("UNIX_SOCKET"))
    with httpx.Client(transport=transport, trust_env=False, follow_redirects=True, timeout=30) as client:
        while call := next_call():
            content = call.chunks() if call.chunked else b"x" * call.body if call.body else None
            if call.expect:
                call.headers["Expect"] = "100-continue"
            start = now()
            response = client.request(call.method, call.url, content=content, headers=call.headers)
            received = len(response.content)
            log.write(call, start, now(), response.status_code, received)
            time.sleep(call.pause)


run_threads(worker)

"""Calls of aiohttp, which says nothing of whom it asks: `plain.py PORT LOG TAG HOST KNOWN`.

HOST is what it calls the server; KNOWN is the product that the server is known to be, or none: then
nothing tells, and each call is one over HTTP.
"""

import asyncio
import json
import sys

import aiohttp

from truth import INDEX, PORT, call

HOST, KNOWN = sys.argv[4], sys.argv[5]
SYSTEM = None if KNOWN == "none" else KNOWN


class Refused(Exception):
    """What other libraries make of an answer like this."""

    def __init__(self, status):
        self.status_code = status


async def pieces(body):
    for at in range(0, len(body), 7):
        yield body[at:at + 7]
        await asyncio.sleep(0)


async def main():
    async with aiohttp.ClientSession() as session:
        async def ask(operation, index, method, path, body=None, *, kind="json", status=200, chunked=False, **said):
            with call(SYSTEM, operation, index, status=status, **said) as params:
                data = pieces(body.encode()) if chunked else body
                headers = {"Host": HOST} | ({"content-type": f"application/{kind}"} if body else {})
                async with session.request(method, f"http://127.0.0.1:{PORT}{path}", params=params, data=data, headers=headers) as answer:
                    await answer.read()
                    if answer.status != status:
                        raise SystemExit(f"{method} {path}: {answer.status}")
                    if status >= 400:
                        raise Refused(status)

        if SYSTEM:
            await ask("info", None, "GET", "/")
        await ask("indices.create", INDEX, "PUT", f"/{INDEX}")
        for n in range(5):
            await ask("index", INDEX, "PUT", f"/{INDEX}/_doc/{n}", json.dumps({"name": "secret"}), status=201)
        lines = "".join(json.dumps(line) + "\n" for n in range(40) for line in ({"index": {}}, {"name": "secret"}))
        await ask("bulk index", INDEX, "POST", f"/{INDEX}/_bulk", lines, kind="x-ndjson", size=40)
        await ask("bulk index", INDEX, "POST", f"/{INDEX}/_bulk", lines, kind="x-ndjson", size=40, chunked=True)
        # More than is captured; the answer is compressed.
        many = "".join(json.dumps(line) + "\n" for n in range(300) for line in ({"index": {}}, {"name": "secret" * 12}))
        await ask("bulk", INDEX, "POST", f"/{INDEX}/_bulk", many, kind="x-ndjson", size=300)
        query = json.dumps({"query": {"match": {"name": "secret"}}})
        text = '{"query":{"match":{"name":?}}}'
        await ask("search", INDEX, "POST", f"/{INDEX}/_search", query, text=text)
        await ask("search", INDEX, "GET", f"/{INDEX}/_search", query, text=text)
        await ask("search", INDEX, "POST", f"/{INDEX}/_search", query, text=text, chunked=True)
        await ask("search", INDEX, "GET", f"/{INDEX}/_search?q=name:none")
        await ask("get", INDEX, "GET", f"/{INDEX}/_doc/none", status=404)
        await ask("exists", INDEX, "HEAD", f"/{INDEX}/_doc/1")
        await ask("cat.indices", INDEX, "GET", f"/_cat/indices/{INDEX}")
        await ask("indices.delete", INDEX, "DELETE", f"/{INDEX}")


asyncio.run(main())

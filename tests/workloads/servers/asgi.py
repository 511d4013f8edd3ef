"""An ASGI application without a framework, for uvicorn."""

import asyncio

from common import answer


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    assert scope["type"] == "http"
    received, more = 0, True
    while more:
        message = await receive()
        received += len(message.get("body", b""))
        more = message.get("more_body", False)

    async def start(status, headers):
        headers = [(k.encode(), v.encode()) for k, v in headers]
        await send({"type": "http.response.start", "status": status, "headers": headers})

    async def body(data, more):
        await send({"type": "http.response.body", "body": data, "more_body": more})

    path = scope["path"]
    if path.startswith("/sse/"):
        count, pause = map(int, path[5:].split("/"))
        await start(200, [("content-type", "text/event-stream")])
        for n in range(count):
            if n:
                await asyncio.sleep(pause / 1000)
            await body(b"data: %d\n\n" % n, True)
        return await body(b"", False)
    reply = answer(path, scope["query_string"].decode(), received)
    if reply.delay:
        await asyncio.sleep(reply.delay)
    if reply.chunks is not None:
        await start(reply.status, reply.headers)
        for chunk in reply.chunks:
            await body(chunk, True)
        return await body(b"", False)
    if reply.status not in (204, 304):
        reply.headers.append(("content-length", str(len(reply.body))))
    await start(reply.status, reply.headers)
    await body(b"" if scope["method"] == "HEAD" else reply.body, False)

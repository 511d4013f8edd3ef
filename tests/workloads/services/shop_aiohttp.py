"""shop.py in aiohttp's own server: one task serves a connection for as long as it lives. Run as
`shop_aiohttp.py PORT LOOP`."""

import asyncio
import sys

import shop
from aiohttp import web


def answers(endpoint):
    async def handle(request):
        await endpoint(request.query["call"])
        return web.json_response({})

    return handle


async def with_body(request):
    """Asks when it has the head, and again when it has the body."""
    call = request.query["call"]
    await shop.by_aiohttp(call, "one")
    await request.read()
    await shop.by_aiohttp(call, "two")
    return web.json_response({})


async def long(request):
    """An answer in chunks that lets wait for it longer than anybody needs to know that it is asked for."""
    await asyncio.sleep(0.5)
    await shop.by_aiohttp(request.query["call"], "one")
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    for _ in range(14):
        await response.write(b"x" * 1000)
    await response.write_eof()
    return response


async def after(request):
    """One call goes on when the answer is there."""
    call = request.query["call"]
    await shop.by_aiohttp(call, "one")
    task = asyncio.create_task(shop.by_aiohttp(call, "later"))
    shop.app.later.add(task)
    task.add_done_callback(shop.app.later.discard)
    return web.json_response({})


async def pools(app):
    shop.app.later = set()
    async with shop.lifespan(shop.app):
        yield
        await asyncio.gather(*shop.app.later)


def main(port, loop):
    if loop.startswith("uvloop"):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    app = web.Application()
    app.cleanup_ctx.append(pools)
    app.add_routes(
        [
            web.get("/aiohttp", answers(shop.with_aiohttp)),
            web.get("/httpx", answers(shop.with_httpx)),
            web.get("/thread", answers(shop.in_a_thread)),
            web.get("/after", after),
            web.get("/long", long),
            web.post("/body", with_body),
        ]
    )
    web.run_app(app, host="127.0.0.1", port=int(port), print=None, access_log=None)


if __name__ == "__main__":
    main(*sys.argv[1:])

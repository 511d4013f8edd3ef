"""aiohttp with one session for all tasks."""

import asyncio
import os

import aiohttp

from plan import calls, concurrency, log, now


async def chunks(call):
    for chunk in call.chunks():
        yield chunk


async def worker(session, plan):
    for call in plan:
        data = chunks(call) if call.chunked else b"x" * call.body if call.body else None
        start = now()
        async with session.request(
            call.method, call.url, data=data, headers=call.headers, expect100=call.expect
        ) as response:
            received = len(await response.read())
            log.write(call, start, now(), response.status, received)
        await asyncio.sleep(call.pause)


async def main():
    plan = calls()
    if path := os.environ.get("UNIX_SOCKET"):
        connector = aiohttp.UnixConnector(path, limit=concurrency)
    else:
        connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(worker(session, plan) for _ in range(concurrency)))


asyncio.run(main())

"""httpx with its asynchronous client, shared by all tasks."""

import asyncio

import httpx

from plan import calls, concurrency, log, now


async def chunks(call):
    for chunk in call.chunks():
        yield chunk


async def worker(client, plan):
    for call in plan:
        content = chunks(call) if call.chunked else b"x" * call.body if call.body else None
        if call.expect:
            call.headers["Expect"] = "100-continue"
        start = now()
        response = await client.request(call.method, call.url, content=content, headers=call.headers)
        received = len(response.content)
        log.write(call, start, now(), response.status_code, received)
        await asyncio.sleep(call.pause)


async def main():
    plan = calls()
    async with httpx.AsyncClient(trust_env=False, follow_redirects=True, timeout=30) as client:
        await asyncio.gather(*(worker(client, plan) for _ in range(concurrency)))


asyncio.run(main())

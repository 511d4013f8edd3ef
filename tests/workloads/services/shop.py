"""A FastAPI service that asks another one while it answers. `DOWN` is the other one's base URL.

The id of each call that it makes begins with the id of the request that it makes it for, so that
whose it is can be told from the other side. What it does between calls depends on that id alone.
"""

import asyncio
import os
import zlib
from contextlib import asynccontextmanager

import aiohttp
import httpx
import requests
from fastapi import BackgroundTasks, FastAPI

DOWN = os.environ["DOWN"]
PERMUTED = "PERMUTED" in os.environ
# Fewer connections than requests in flight: they are handed from one to the other.
POOL = 8


@asynccontextmanager
async def lifespan(app):
    app.aiohttp = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=POOL))
    app.httpx = httpx.AsyncClient(limits=httpx.Limits(max_connections=POOL, max_keepalive_connections=POOL), timeout=60)
    app.requests = requests.Session()
    app.requests.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=POOL, pool_block=True))
    app.housekeeper = None
    yield
    if app.housekeeper:
        app.housekeeper.cancel()
    await app.aiohttp.close()
    await app.httpx.aclose()
    app.requests.close()


app = FastAPI(lifespan=lifespan)


def url(call, n):
    return f"{DOWN}/bytes/10?call={others(call)}.{n}"


def others(call):
    """The id of another request, if ids are permuted: the last digit is one higher."""
    return call[:-1] + str((int(call[-1]) + 1) % 10) if PERMUTED else call


async def by_aiohttp(call, n):
    async with app.aiohttp.get(url(call, n)) as response:
        await response.read()


async def by_httpx(call, n):
    (await app.httpx.get(url(call, n))).raise_for_status()


def by_requests(call, n):
    app.requests.get(url(call, n)).raise_for_status()


def pause(call, n):
    """Up to 8 ms, another for each call."""
    return zlib.crc32(f"{call}.{n}".encode()) % 8 / 1000


async def work(call, ask):
    """Two calls one after the other, two at once, one by a task that nobody waits for at first."""
    early = asyncio.create_task(ask(call, "early"))
    await asyncio.sleep(pause(call, 1))
    await ask(call, "one")
    await asyncio.sleep(pause(call, 2))
    await ask(call, "two")
    await asyncio.gather(ask(call, "left"), ask(call, "right"))
    await early


@app.get("/once")
async def once(call: str):
    """Nothing but one call: what bench asks for."""
    await by_aiohttp(call, "one")
    return {}


@app.get("/aiohttp")
async def with_aiohttp(call: str):
    await work(call, by_aiohttp)
    return {}


@app.get("/httpx")
async def with_httpx(call: str):
    await work(call, by_httpx)
    return {}


@app.get("/thread")
async def in_a_thread(call: str):
    await asyncio.sleep(pause(call, 1))
    await asyncio.to_thread(by_requests, call, "one")
    await asyncio.gather(*(asyncio.to_thread(by_requests, call, n) for n in ("left", "right")))
    return {}


@app.get("/sync")
def sync(call: str):
    by_requests(call, "one")
    by_requests(call, "two")
    return {}


@app.get("/after")
async def after(call: str, background: BackgroundTasks):
    await by_aiohttp(call, "one")
    background.add_task(by_aiohttp, call, "later")
    return {}


@app.get("/child")
async def child(call: str):
    """The first one starts a housekeeper, whose calls are nobody's after a while."""
    if app.housekeeper is None:
        app.housekeeper = asyncio.create_task(keep_house(call))
    await by_aiohttp(call, "one")
    return {}


async def keep_house(call):
    n = 0
    while True:
        await asyncio.sleep(0.5)
        await by_aiohttp(f"{call}.house", n)
        n += 1

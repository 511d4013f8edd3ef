"""Calls of redis-py: `client.py PORT LOG MODE TAG [PARTS]`, MODE is sync or async and the protocol
(sync3), PARTS some of the functions below (simple,batches), otherwise everything is done.

Each call has a word of its own in its keys, beginning with TAG, and a line in the log: what was
asked of the library, how it ended, and when. What one call does is the same in both modes.
"""

import asyncio
import inspect
import itertools
import json
import os
import socket
import string
import sys
import time

import redis
import redis.asyncio

PORT, LOG, MODE, TAG = int(sys.argv[1]), open(sys.argv[2], "w"), sys.argv[3], sys.argv[4]
SOCKET = os.environ.get("UNIX_SOCKET")
SERVER = {"unix_socket_path": SOCKET} if SOCKET else {"host": "127.0.0.1", "port": PORT}
PROTOCOL = int(MODE[-1])
ASYNC = MODE.startswith("async")
LIBRARY = redis.asyncio if ASYNC else redis
LETTERS = itertools.product(string.ascii_lowercase, repeat=3)


async def result(value):
    return await value if inspect.isawaitable(value) else value


async def call(operation, ask, *, size=None, database="0", waits=False, **expected):
    """Makes a call of which a span is expected, and logs it."""
    word = TAG + "".join(next(LETTERS))
    error = None
    start = time.time_ns()
    try:
        await result(ask(f"test:{word}"))
    except redis.exceptions.ResponseError as refused:
        # The library keeps the code of some errors for itself, in the class.
        error = expected.pop("error", None) or type(refused).__name__
    end = time.time_ns()
    line = {"call": word, "operation": operation, "size": size, "database": database,
            "waits": waits, "error": error, "start": start, "end": end, "pid": os.getpid()}
    LOG.write(json.dumps(line | expected) + "\n")
    LOG.flush()


def connect(**arguments):
    return LIBRARY.Redis(**SERVER, protocol=PROTOCOL, single_connection_client=True, **arguments)


def pipeline(client, key, transaction, commands):
    pipe = client.pipeline(transaction=transaction)
    for command in commands:
        pipe.execute_command(*[word.replace("KEY", key) for word in command.split()])
    return pipe.execute(raise_on_error=False)


async def simple(client, **where):
    for n in range(20):
        await call("SET", lambda key: client.set(key, "secret%d" % n), **where)
        await call("GET", lambda key: client.get(key), **where)
    # What redis-py sends for it.
    await call("INCRBY", lambda key: client.incr(key), **where)
    await call("HSET", lambda key: client.hset(key, mapping={"a": "1", "b": "2"}), **where)
    await call("MGET", lambda key: client.mget([key, key + ":other"]), **where)


async def large(client):
    for size in (15_000, 17_000, 100_000, 3_000_000):
        await call("SET", lambda key: client.set(key, b"x" * size))
    key = "big"
    await result(client.set(key, b"y" * 2_000_000))
    await result(client.rpush("list", *[b"z" * 100 for _ in range(5000)]))
    for _ in range(3):
        await call("MGET", lambda word: client.mget([word, key]))
        await call("EVAL", lambda word: client.eval("return redis.call('LRANGE', 'list', 0, -1)", 1, word))
    # What is between two large values is not captured.
    await call("MSET", lambda word: client.mset({word: b"v" * 30_000, word + ":b": b"w" * 30_000}))
    await call("GET", lambda word: client.get(word))


async def batches(client):
    three = ["SET KEY 1", "GET KEY", "INCR KEY"]
    await call("PIPELINE", lambda key: pipeline(client, key, False, three), size=3)
    await call("PIPELINE SET", lambda key: pipeline(client, key, False, ["SET KEY 1"] * 5), size=5)
    # All bytes of a connection are captured once the agent has read that it pipelines; of one write,
    # 32 KiB.
    await asyncio.sleep(0.5)
    await call("PIPELINE GET", lambda key: pipeline(client, key, False, ["GET KEY"] * 900), size=900)
    await call("GET", lambda key: pipeline(client, key, False, ["GET KEY"]))
    await call("PIPELINE", lambda key: pipeline(client, key, False, ["SET KEY x", "LPUSH KEY 1", "GET KEY"]),
               size=3, error="WRONGTYPE", failed=True)
    await call("MULTI", lambda key: pipeline(client, key, True, three), size=3)
    await call("MULTI SET", lambda key: pipeline(client, key, True, ["SET KEY 1", "SET KEY 2"]), size=2)
    await call("MULTI", lambda key: pipeline(client, key, True, ["SET KEY x", "LPOP KEY"]),
               size=2, error="WRONGTYPE", failed=True)


async def errors(client):
    await result(client.set("text", "x"))
    await call("EVAL", lambda key: client.eval("return redis.error_reply('MYERROR no')", 1, key),
               error="MYERROR", failed=True)
    await call("SETRANGE", lambda key: client.execute_command("SETRANGE", key, "-1", "x"),
               error="ERR", failed=True)
    await call("EVALSHA", lambda key: client.evalsha("0" * 40, 1, key), error="NOSCRIPT", failed=True,
               procedure="0" * 40)
    await call("RENAME", lambda key: client.rename(key, key + ":to"), error="ERR", failed=True)


async def waits(client):
    await call("BLPOP", lambda key: client.blpop([key], timeout=0.2), waits=True)
    await call("BRPOP", lambda key: client.brpop([key], timeout=0.1), waits=True)
    await call("BLMOVE", lambda key: client.blmove(key, key + ":to", 0.1), waits=True)
    await call("BZPOPMIN", lambda key: client.bzpopmin([key], timeout=0.1), waits=True)


async def scripts(client):
    digest = await result(client.script_load("return ARGV[1]"))
    await call("EVALSHA", lambda key: client.evalsha(digest, 1, key, "secret"), procedure=digest)
    await call("EVAL", lambda key: client.eval("return ARGV[1]", 1, key, "secret"))
    await result(client.function_load(
        "#!lua name=%s\nredis.register_function('f_%s', function(keys, arguments) return 1 end)" % (TAG, TAG),
        replace=True))
    await call("FCALL", lambda key: client.fcall("f_" + TAG, 1, key), procedure="f_" + TAG)


async def lines(client):
    """Commands as people type them."""
    where = socket.socket(socket.AF_UNIX if SOCKET else socket.AF_INET)
    where.connect(SOCKET or ("127.0.0.1", PORT))
    with where:
        answers = where.makefile("rb")

        def ask(line):
            where.sendall(line.encode() + b"\r\n")
            return answers.readline()

        for _ in range(5):
            await call("SET", lambda key: ask(f"SET {key} secret"))
            await call("EXISTS", lambda key: ask(f"EXISTS {key}"))
        await call("LPUSH", lambda key: ask(f"LPUSH {key}"), error="ERR", failed=True)


async def heard(subscriber, count):
    deadline = time.time() + 20
    while count and time.time() < deadline:
        count -= (await result(subscriber.get_message(timeout=1))) is not None
    assert count == 0, f"{count} messages did not come"


async def messages(client):
    subscriber = client.pubsub()
    channels = [TAG + "one", TAG + "two"]
    await result(subscriber.subscribe(*channels))
    # Only when they are confirmed does the server pass messages on.
    await heard(subscriber, len(channels))
    for n in range(50):
        await result(client.publish(channels[n % 2], "secret"))
    await heard(subscriber, 50)
    await result(subscriber.unsubscribe())
    while (await result(subscriber.get_message(timeout=1))) is not None:
        pass
    await result(subscriber.aclose() if ASYNC else subscriber.close())
    await call("GET", lambda key: client.get(key))


ALL = (simple, batches, errors, waits, scripts, lines, messages, large)


async def main():
    client = connect()
    parts = [globals()[name] for name in sys.argv[5].split(",")] if len(sys.argv) > 5 else ALL
    for part in parts:
        await part(client)
    await result(client.aclose() if ASYNC else client.close())
    if parts is not ALL:
        return
    other = connect(db=5, username="app", password="secret-password")
    await simple(other, database="5")
    await result(other.aclose() if ASYNC else other.close())
    if ASYNC:
        # Many at once, on a pool of connections.
        pool = redis.asyncio.Redis(**SERVER, protocol=PROTOCOL, max_connections=8)
        gate = asyncio.Semaphore(8)

        async def one():
            async with gate:
                await call("INCRBY", lambda key: pool.incr(key))

        await asyncio.gather(*[one() for _ in range(300)])
        await pool.aclose()


asyncio.run(main())

"""PostgreSQL in special circumstances: PORT LOG KIND [SIGNAL].

older: asyncpg, connected and with a statement prepared before the agent comes, which SIGNAL tells of.
functions: psycopg2's large objects, by libpq's calls of functions; the first looks up their numbers.
replication: psycopg2 follows a replication stream, which is no call.
"""

import asyncio
import os
import sys
import time

from truth import HOST, PORT, asked, call, with_psycopg2

KIND = sys.argv[3]


async def older():
    import asyncpg

    connection = await asyncpg.connect(host=HOST, port=PORT, user="postgres", database="postgres")
    port = connection._transport.get_extra_info("sockname")[1]
    statement = await connection.prepare("SELECT $1::text FROM generate_series(1, $2::int)")
    await statement.fetch("secret", 1)
    print("waiting", flush=True)
    for _ in range(3000):
        if os.path.exists(sys.argv[4]):
            break
        await asyncio.sleep(0.02)
    else:
        raise SystemExit("nobody came")
    # The first may go on with what went by before.
    with asked(port):
        await statement.fetch("secret", 1)
    for n in range(20):
        # Neither its text nor the database were seen.
        with asked(port, call("", operation="SELECT", returned=n)):
            await statement.fetch("secret", n)
        with asked(port, call("SELECT generate_series", returned=n)):
            await connection.fetch(f"SELECT {n} FROM generate_series(1, $1::int)", n)
    with asked(port, call("", operation="SELECT", returned=50_000, long=True)):
        await statement.fetch("secret", 50_000)
    await connection.close()


def functions():
    connection, port = with_psycopg2()
    function = call("", operation="FunctionCall")
    lookup = call("select pg_catalog.pg_proc select pg_catalog.pg_namespace", returned=13)
    # Made and opened.
    with asked(port, call("BEGIN"), lookup, *[function] * 2):
        large = connection.lobject(0, "n")
        number = large.oid
    with asked(port, function):
        large.close()
    with asked(port, function):
        large = connection.lobject(number, "wb")
    with asked(port, function):
        large.write("secret" * 10_000)
    with asked(port, function):
        large.close()
    with asked(port, function):
        large = connection.lobject(number, "rb")
    with asked(port, *[function] * 4):
        # Where it is, where its end is, back, and read.
        assert len(large.read()) == 60_000
    with asked(port, call("ROLLBACK")):
        connection.rollback()
    connection.close()


def replication():
    import psycopg2.extras

    kind = psycopg2.extras.PhysicalReplicationConnection
    connection = psycopg2.connect(host=HOST, port=PORT, user="postgres", connection_factory=kind)
    cursor = connection.cursor()
    cursor.execute("IDENTIFY_SYSTEM")
    assert cursor.fetchone()
    # What making the database wrote.
    cursor.start_replication(start_lsn="0/1000000")
    heard = 0
    for n in range(500):
        message = cursor.read_message()
        heard += len(message.payload) if message else 0
        if heard > 1_000_000:
            break
        time.sleep(0.02)
    else:
        raise SystemExit("nothing came")
    connection.close()


asyncio.run(older()) if KIND == "older" else {"functions": functions, "replication": replication}[KIND]()

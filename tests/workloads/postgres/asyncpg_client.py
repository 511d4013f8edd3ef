"""asyncpg: named statements, prepared on first use; BEGIN and COMMIT as simple queries."""

import asyncio
import os

import asyncpg

from truth import HOST, PORT, asked, call


async def main():
    connection = await asyncpg.connect(host=HOST, port=PORT, user="postgres", database="postgres")
    unix = "UNIX_SOCKET" in os.environ
    port = connection.get_server_pid() if unix else connection._transport.get_extra_info("sockname")[1]
    with asked(port, call("CREATE TABLE ap")):
        await connection.execute("CREATE TABLE ap (id int PRIMARY KEY, name text)")
    for n in range(3):
        with asked(port, call("INSERT ap", affected=1)):
            await connection.execute("INSERT INTO ap VALUES ($1, $2)", n, f"secret{n}")
    with asked(port, call("INSERT ap", affected=50, batch=50)):
        await connection.executemany("INSERT INTO ap VALUES ($1, $2)", [(n, "secret") for n in range(10, 60)])
    for _ in range(3):
        with asked(port, call("SELECT ap", returned=53)):
            await connection.fetch("SELECT * FROM ap WHERE name <> $1", "nobody")
    with asked(port, call("SELECT nowhere", code="42P01"), error=asyncpg.UndefinedTableError):
        await connection.fetch("SELECT * FROM nowhere")
    with asked(port, call("INSERT ap", code="23505"), error=asyncpg.UniqueViolationError):
        await connection.execute("INSERT INTO ap VALUES ($1, $2)", 1, "secret")
    with asked(port, call("INSERT ap", code="23505", batch=3), error=asyncpg.UniqueViolationError):
        await connection.executemany("INSERT INTO ap VALUES ($1, $2)", [(100, "a"), (1, "b"), (101, "c")])
    with asked(port, call("SELECT", code="22012"), error=asyncpg.DivisionByZeroError):
        await connection.fetchval("SELECT 1 / $1::int", 0)
    with asked(port, call("BEGIN")):
        transaction = connection.transaction()
        await transaction.start()
    with asked(port, call("SELECT ap", returned=20)):
        cursor = await connection.cursor("SELECT id FROM ap ORDER BY id")
        await cursor.fetch(20)
    with asked(port, call("SELECT ap", returned=33)):
        await cursor.fetch(50)
    with asked(port, call("COMMIT")):
        await transaction.commit()
    with asked(port, call("SELECT generate_series", returned=20000, long=True)):
        await connection.fetch("SELECT repeat('x', 1000) FROM generate_series(1, $1::int)", 20000)
    with asked(port, call("SELECT generate_series", returned=100000, long=True)):
        # The end of a result as a value at the end of one, which is sent as it is.
        end = b"C\0\0\0\x0dSELECT 5\0Z\0\0\0\x05I"
        found = await connection.fetch("SELECT $1::bytea FROM generate_series(1, 100000)", end)
        assert len(found) == 100000
    # The last: where neither value nor result is seen, what is prepared meanwhile is not known.
    for size in (10, 3_000_000):
        with asked(port, call("SELECT", returned=1, long=size > 16000)):
            await connection.fetchval("SELECT $1::text", "s" * size)
    with asked(port, call("SELECT ap UPDATE ap", returned=53, affected=53, batch=2)):
        await connection.execute("SELECT * FROM ap; UPDATE ap SET name = 'secret'")
    with asked(port, call('COPY "ap"', affected=5000)):
        await connection.copy_records_to_table("ap", records=[(n, "secret" * 3) for n in range(1000, 6000)])
    with asked(port, call('COPY "ap"', affected=5053, long=True)):
        said = await connection.copy_from_table("ap", output=os.devnull)
        assert said == "COPY 5053", said
    with asked(port, call("SELECT", returned=1)):
        await connection.fetchval("SELECT pg_sleep(0.05)")
    with asked(port, call("SELECT", code="57014"), error=asyncio.TimeoutError):
        try:
            await connection.fetch("SELECT pg_sleep(5)", timeout=0.1)
        finally:
            await asyncio.sleep(0.2)  # the answer to what was cancelled comes after the error
    for n in range(200):
        with asked(port, call("SELECT ap", returned=1)):
            await connection.fetchrow("SELECT name FROM ap WHERE id = $1", 1000 + n)
    await connection.close()


asyncio.run(main())

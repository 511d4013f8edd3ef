"""What agent/tests/fixtures/postgres.rec is a recording of: psycopg2, then asyncpg. Arguments: PORT LOG."""

import asyncio
import io

import asyncpg
import psycopg2

from truth import PORT

connection = psycopg2.connect(host="127.0.0.1", port=PORT, user="postgres", dbname="postgres")
cursor = connection.cursor()
cursor.execute("CREATE TABLE fix (id int PRIMARY KEY, name text)")
for n in range(10):
    cursor.execute("INSERT INTO fix VALUES (%s, %s)", (n, f"secret{n}"))
connection.commit()
for n in range(10):
    cursor.execute("SELECT name FROM fix WHERE id = %s", (n,))
    cursor.fetchall()
for sql in ("SELECT * FROM nowhere", "SELECT 1"):
    try:
        cursor.execute(sql)
    except psycopg2.Error:
        pass
connection.rollback()
cursor.execute("SELECT * FROM fix; UPDATE fix SET name = 'secret'")
cursor.copy_expert("COPY fix FROM STDIN", io.StringIO("".join(f"{n}\tsecret{n}\n" for n in range(100, 200))))
cursor.copy_expert("COPY fix TO STDOUT", io.StringIO())
cursor.execute("SELECT repeat('x', 1000) FROM generate_series(1, 40)")
cursor.fetchall()
connection.commit()
connection.close()


async def main():
    connection = await asyncpg.connect(host="127.0.0.1", port=PORT, user="postgres", database="postgres")
    for n in range(10):
        await connection.fetch("SELECT name FROM fix WHERE id = $1", n)
        await connection.execute("UPDATE fix SET name = $1 WHERE id = $2", "secret", n)
    await connection.executemany("INSERT INTO fix VALUES ($1, $2)", [(n, "secret") for n in range(300, 320)])
    for arguments in ((1, "secret"), (500, "secret")):
        try:
            await connection.execute("INSERT INTO fix VALUES ($1, $2)", *arguments)
        except asyncpg.UniqueViolationError:
            pass
    async with connection.transaction():
        cursor = await connection.cursor("SELECT id FROM fix ORDER BY id")
        for _ in range(3):
            await cursor.fetch(20)
    await connection.execute("SELECT * FROM fix; DELETE FROM fix WHERE id > 400")
    await connection.close()


asyncio.run(main())

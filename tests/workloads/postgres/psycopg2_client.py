"""psycopg2: simple queries, a BEGIN of its own before the first of a transaction."""

import io

import psycopg2

from truth import asked, call, with_psycopg2

connection, port = with_psycopg2()
cursor = connection.cursor()
begin = call("BEGIN")


def execute(sql, *calls, arguments=None, error=None):
    with asked(port, *calls, error=error):
        cursor.execute(sql, arguments)
        if cursor.description:
            cursor.fetchall()


execute("CREATE TABLE p2 (id int PRIMARY KEY, name text)", begin, call("CREATE TABLE p2"))
with asked(port, call("COMMIT")):
    connection.commit()
with asked(port, begin, *[call("INSERT p2", affected=1)] * 3):
    cursor.executemany("INSERT INTO p2 VALUES (%s, %s)", [(n, f"secret{n}") for n in range(3)])
execute("SELECT * FROM p2 WHERE name <> %s", call("SELECT p2", returned=3), arguments=("secret'9",))
execute("SELECT * FROM p2 WHERE id IN %s", call("SELECT p2", returned=2), arguments=((1, 2),))
execute("UPDATE p2 SET name = 'x' WHERE id > 0 RETURNING id", call("UPDATE p2", returned=2, affected=2))
execute("SELECT * FROM p2; DELETE FROM p2 WHERE id = 2", call("SELECT p2 DELETE p2", returned=3, affected=1, batch=2))
execute("INSERT INTO p2 VALUES (1, 'secret')", call("INSERT p2", code="23505"), error=psycopg2.errors.UniqueViolation)
execute("SELECT 1", call("SELECT", code="25P02"), error=psycopg2.errors.InFailedSqlTransaction)
with asked(port, call("ROLLBACK")):
    connection.rollback()
execute("SELECT * FROM nowhere", begin, call("SELECT nowhere", code="42P01"), error=psycopg2.errors.UndefinedTable)
with asked(port, call("ROLLBACK")):
    connection.rollback()
connection.autocommit = True
execute("SELEC 1", call("", code="42601"), error=psycopg2.errors.SyntaxError)
execute("SELECT pg_sleep(0.05)", call("SELECT", returned=1))
execute("ROLLBACK", call("ROLLBACK", code="25P01", warned=True))
execute("SELECT repeat('x', 1000) FROM generate_series(1, 20000)", call("SELECT generate_series", returned=20000, long=True))
execute("SELECT repeat('x', 3000000)", call("SELECT", returned=1, long=True))
execute("SELECT %s", call("SELECT", returned=1, long=True), arguments=("secret" * 100000,))
execute("SELECT id FROM p2 /* " + "x" * 20000 + " */", call("SELECT p2", returned=0))
with asked(port, call("COPY p2", affected=20000)):
    cursor.copy_expert("COPY p2 FROM STDIN", io.StringIO("".join(f"{n}\tsecret{n}\n" for n in range(20000))))
with asked(port, call("COPY p2", affected=20000, long=True)):
    cursor.copy_expert("COPY p2 TO STDOUT", io.StringIO())
with asked(port, call("COPY p2", code="22P02"), error=psycopg2.errors.InvalidTextRepresentation):
    cursor.copy_expert("COPY p2 FROM STDIN", io.StringIO("secret\tx\n"))
execute("LISTEN news", call("LISTEN"))
execute("NOTIFY news, 'secret'", call("NOTIFY"))
execute("SET statement_timeout = 50", call("SET"))
execute("SELECT pg_sleep(5)", call("SELECT", code="57014"), error=psycopg2.errors.QueryCanceled)
execute("SET statement_timeout = 0", call("SET"))
connection.autocommit = False
named = connection.cursor("walk")
named.itersize = 100
with asked(port, begin, call("DECLARE SELECT p2")):
    named.execute("SELECT * FROM p2 ORDER BY id LIMIT 150")
with asked(port, call("FETCH", returned=100), call("FETCH", returned=50), call("FETCH", returned=0)):
    list(named)
with asked(port, call("CLOSE")):
    named.close()
with asked(port, call("COMMIT")):
    connection.commit()
for n in range(200):
    execute("SELECT name FROM p2 WHERE id = %s", *([begin] if n == 0 else []), call("SELECT p2", returned=1), arguments=(n,))
connection.close()

"""psycopg2: long results: one value, many rows, what COPY takes and puts out. The server's own word for how many rows
there were is that of the log."""

import io
import os

from truth import asked, call, with_psycopg2

connection, port = with_psycopg2()
connection.autocommit = True
cursor = connection.cursor()
MANY = 100_000


def execute(sql, tag, *calls):
    with asked(port, *calls):
        cursor.execute(sql)
        if cursor.description:
            cursor.fetchall()
    assert cursor.statusmessage == tag, cursor.statusmessage


def copy(sql, file, rows, *calls):
    with asked(port, *calls):
        cursor.copy_expert(sql, file)
    assert cursor.rowcount == rows, cursor.rowcount


rows = f"SELECT repeat('x', 1000) FROM generate_series(1, {MANY})"
of_series = call("SELECT generate_series", returned=MANY, long=True)
execute("SELECT 1", "SELECT 1", call("SELECT", returned=1))
execute("SELECT repeat('x', 100000000)", "SELECT 1", call("SELECT", returned=1, long=True))
execute(rows, f"SELECT {MANY}", of_series)
with open(os.devnull, "w") as nowhere:
    out = call("COPY SELECT generate_series", affected=MANY, long=True)
    copy(f"COPY ({rows}) TO STDOUT", nowhere, MANY, out)
execute("CREATE TABLE large (id int, name text)", "CREATE TABLE", call("CREATE TABLE large"))
lines = io.StringIO("".join(f"{n}\tsecret{n}\n" for n in range(MANY)))
copy("COPY large FROM STDIN", lines, MANY, call("COPY large", affected=MANY))
returning = call("UPDATE large", returned=MANY, affected=MANY, long=True)
execute("UPDATE large SET name = 'secret' WHERE id >= 0 RETURNING *", f"UPDATE {MANY}", returning)
both = call("SELECT large SELECT large", returned=MANY + 3, batch=2, long=True)
execute("SELECT * FROM large WHERE id < 3; SELECT * FROM large", f"SELECT {MANY}", both)
walk = call("BEGIN DECLARE SELECT large FETCH", returned=MANY, batch=3, long=True)
execute("BEGIN; DECLARE c CURSOR FOR SELECT * FROM large; FETCH ALL FROM c", f"FETCH {MANY}", walk)
execute("COMMIT", "COMMIT", call("COMMIT"))
# The end of a result as a value at the end of one.
deceiving = r"'\x430000000d53454c4543542035005a0000000549'::bytea"
same = call("SELECT generate_series", returned=20_000, long=True)
execute(f"SELECT {deceiving} FROM generate_series(1, 20000)", "SELECT 20000", same)
execute("SELECT 2", "SELECT 1", call("SELECT", returned=1))
connection.close()

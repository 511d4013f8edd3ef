"""PyMySQL: plain queries, several statements in one, files; values stand in the text."""

import tempfile
import time

import pymysql
from pymysql.constants import CLIENT

from truth import LOGIN, asked, call, log

start = time.time_ns()
connection = pymysql.connect(**LOGIN, local_infile=True, client_flag=CLIENT.MULTI_STATEMENTS, autocommit=True)
number = connection.thread_id()
cursor = connection.cursor()
log(number, start, [call("SET")])  # NAMES


def execute(sql, *calls, arguments=None, error=None):
    with asked(number, *calls, error=error):
        cursor.execute(sql, arguments)
        cursor.fetchall()
        while cursor.nextset():
            cursor.fetchall()


execute("CREATE TABLE py (id INT PRIMARY KEY, name TEXT)", call("CREATE TABLE py"))
with asked(number, call("INSERT py", affected=3)):
    cursor.executemany("INSERT INTO py VALUES (%s, %s)", [(n, f"secret{n}") for n in range(3)])
execute("SELECT * FROM py WHERE name <> %s", call("SELECT py", returned=3), arguments=("secret'9\\",))
execute('SELECT * FROM `py` WHERE name <> "secret" # secret', call("SELECT `py`", returned=3))
execute("UPDATE py SET name = 'secret' WHERE id = 99", call("UPDATE py", affected=0))
execute("SELECT * FROM py; DELETE FROM py WHERE id = 2", call("SELECT py DELETE py", returned=3, affected=1, batch=2))
execute("INSERT INTO py VALUES (1, 'secret')", call("INSERT py", code="1062"), error=1062)
execute("SELECT * FROM nowhere", call("SELECT nowhere", code="1146"), error=1146)
execute("SELECT * FROM py; SELECT * FROM nowhere", call("SELECT py SELECT nowhere", returned=2, code="1146", batch=2), error=1146)
execute("SELEC 1", call("", code="1064"), error=1064)
execute("BEGIN", call("BEGIN"))
execute("SELECT SLEEP(0.05)", call("SELECT", returned=1))
execute("ROLLBACK", call("ROLLBACK"))
execute("SELECT REPEAT('x', 1000) FROM seq_1_to_20000", call("SELECT seq_1_to_20000", returned=20000, long=True))
execute("SELECT REPEAT('x', 3000000)", call("SELECT", returned=1, long=True))
execute("SELECT id FROM py /* " + "x" * 20000 + " */", call("SELECT py", returned=2))
with tempfile.NamedTemporaryFile("w") as file:
    file.writelines(f"{n}\tsecret{n}\n" for n in range(100, 20100))
    file.flush()
    load = f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE py"
    execute(load, call("LOAD py", affected=20000))
execute("LOAD DATA LOCAL INFILE '/nowhere' INTO TABLE py", call("LOAD py", affected=0), error=1017)
execute("CREATE PROCEDURE twice() BEGIN SELECT 1; SELECT 2; END", call("CREATE PROCEDURE twice"))
execute("CALL twice()", call("CALL twice", returned=2))
execute("SET sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')", call("SET"))
execute("SELECT 'secret\\', id FROM py WHERE name = 'secret\\' LIMIT 0", call("SELECT py", returned=0))
execute("CREATE DATABASE other", call("CREATE DATABASE other", affected=1))
execute("USE other", call("USE"))
execute("SELECT 1", call("SELECT", returned=1, namespace="other"))
with asked(number, call("", operation="COM_INIT_DB", namespace="other")):
    connection.select_db("shop")
with asked(number):
    connection.ping()
for n in range(200):
    execute("SELECT name FROM py WHERE id = %s", call("SELECT py", returned=1), arguments=(n % 2,))
# More than goes into a packet.
execute("SELECT REPEAT('x', 17000000)", call("SELECT", returned=1, long=True))
execute("SELECT LENGTH(%s)", call("SELECT", returned=1), arguments=("secret" * 3_000_000,))
connection.close()

# A password that is wrong, a database that is not there.
for login, code in (({"password": "secret?"}, 1045), ({"database": "nowhere"}, 1049)):
    try:
        pymysql.connect(**LOGIN | login)
        raise SystemExit("logged in")
    except pymysql.OperationalError as error:
        assert error.args[0] == code, error

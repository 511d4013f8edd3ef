"""What agent/tests/fixtures/mysql.rec is a recording of, with fixture.js after it. Arguments: PORT LOG."""

import tempfile

import pymysql
from pymysql.constants import CLIENT

from truth import LOGIN

connection = pymysql.connect(**LOGIN, local_infile=True, client_flag=CLIENT.MULTI_STATEMENTS, autocommit=True)
cursor = connection.cursor()


def execute(sql, arguments=None):
    try:
        cursor.execute(sql, arguments)
        cursor.fetchall()
        while cursor.nextset():
            cursor.fetchall()
    except pymysql.Error:
        pass


execute("CREATE TABLE fix (id INT PRIMARY KEY, name TEXT)")
for n in range(10):
    execute("INSERT INTO fix VALUES (%s, %s)", (n, f"secret{n}"))
    execute("SELECT name FROM fix WHERE id = %s", (n,))
for sql in (
    "SELECT * FROM nowhere",
    "SELECT * FROM fix; UPDATE fix SET name = 'secret'",
    "SELECT * FROM fix; SELECT * FROM nowhere",
    "SELECT REPEAT('x', 1000) FROM seq_1_to_40",
    "CREATE PROCEDURE twice() BEGIN SELECT 1; SELECT 2; END",
    "CALL twice()",
    "USE mysql",
    "SELECT COUNT(*) FROM shop.fix",
):
    execute(sql)
connection.select_db("shop")
connection.ping()
with tempfile.NamedTemporaryFile("w") as file:
    file.writelines(f"{n}\tsecret{n}\n" for n in range(100, 200))
    file.flush()
    execute(f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE fix")
execute("SELECT * FROM fix")
connection.close()

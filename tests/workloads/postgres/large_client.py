"""psycopg2: results of 100 MB: one value, many rows, what COPY puts out."""

import os
import socket

import psycopg2

from truth import PORT, asked, call

connection = psycopg2.connect(host="127.0.0.1", port=PORT, user="postgres", dbname="postgres")
connection.autocommit = True
port = socket.socket(fileno=os.dup(connection.fileno())).getsockname()[1]
cursor = connection.cursor()


def execute(sql, *calls):
    with asked(port, *calls):
        cursor.execute(sql)
        if cursor.description:
            cursor.fetchall()


rows = "SELECT repeat('x', 1000) FROM generate_series(1, 100000)"
execute("SELECT 1", call("SELECT", returned=1))
execute("SELECT repeat('x', 100000000)", call("SELECT", returned=1, long=True))
execute(rows, call("SELECT generate_series", returned=100000, long=True))
with asked(port, call("COPY SELECT generate_series", affected=100000, long=True)), open(os.devnull, "w") as nowhere:
    cursor.copy_expert(f"COPY ({rows}) TO STDOUT", nowhere)
execute("SELECT 2", call("SELECT", returned=1))
connection.close()

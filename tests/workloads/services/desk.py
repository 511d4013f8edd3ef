"""The synchronous twin of shop.py: a Flask service (`desk:app`) that asks others while it answers, in the
thread that has read the request. `DOWN` is the base URL of a service, `POSTGRES` the port of a server.

The same in Django is `desk_django.py`.
"""

import os
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import requests
from flask import Flask, Response, request

DOWN = os.environ["DOWN"]
POSTGRES = os.environ["POSTGRES"]
PERMUTED = "PERMUTED" in os.environ
# Threads that serve no requests, fewer than there are requests.
helpers = ThreadPoolExecutor(4)
own = threading.local()
app = Flask(__name__)


def session():
    if not hasattr(own, "session"):
        own.session = requests.Session()
    return own.session


def database():
    if not hasattr(own, "database"):
        own.database = psycopg2.connect(f"host=127.0.0.1 port={POSTGRES} user=postgres")
        own.database.autocommit = True
    return own.database.cursor()


def others(call):
    """The id of another request, if ids are permuted: the last digit is one higher."""
    return call[:-1] + str((int(call[-1]) + 1) % 10) if PERMUTED else call


def ask(call, n):
    session().get(f"{DOWN}/bytes/10?call={others(call)}.{n}").raise_for_status()


def select(call, n):
    cursor = database()
    cursor.execute(f'SELECT 1 AS "call={others(call)}.{n}"')
    cursor.fetchall()


def rest(call, n):
    """Up to 8 ms, another for each call."""
    time.sleep(zlib.crc32(f"{call}.{n}".encode()) % 8 / 1000)


def work(call):
    ask(call, "one")
    rest(call, "one")
    select(call, "two")
    ask(call, "three")


def pieces(call):
    """An answer that has begun while there is still something to ask."""
    yield "begun\n"
    ask(call, "one")
    rest(call, "one")
    yield "more\n"
    select(call, "two")
    yield "done\n"


def help_me(call):
    """One call of its own, and one by a thread that works for many."""
    helper = helpers.submit(ask, call, "helper")
    ask(call, "one")
    helper.result()


@app.get("/work")
def flask_work():
    work(request.args["call"])
    return {}


@app.get("/pieces")
def flask_pieces():
    return Response(pieces(request.args["call"]))


@app.get("/helper")
def flask_helper():
    help_me(request.args["call"])
    return {}


@app.get("/long")
def flask_long():
    """An answer in chunks, longer than is captured: where it ends shows later."""
    call = request.args["call"]
    ask(call, "one")
    return Response("x" * 1000 for _ in range(40))

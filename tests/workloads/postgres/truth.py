"""What the database clients share: their log (see ../README.md). Arguments: PORT LOG. With UNIX_SOCKET set they connect
there, and know their connection by the process of the server that serves it.
"""

import json
import os
import socket
import sys
import time

PORT, LOG = int(sys.argv[1]), open(sys.argv[2], "w", buffering=1)
# libpq knows a socket by its folder and port.
HOST = os.path.dirname(os.environ.get("UNIX_SOCKET", "")) or "127.0.0.1"


def with_psycopg2():
    """A connection of psycopg2, and its number."""
    import psycopg2

    connection = psycopg2.connect(host=HOST, port=PORT, user="postgres", dbname="postgres")
    if "UNIX_SOCKET" in os.environ:
        return connection, connection.info.backend_pid
    return connection, socket.socket(fileno=os.dup(connection.fileno())).getsockname()[1]


def call(summary, returned=None, affected=None, code=None, batch=None, long=False, warned=False, operation=None):
    """One call as it must be seen."""
    return {
        "summary": summary,
        "operation": operation,
        "returned": returned,
        "affected": affected,
        "code": code,
        "batch": batch,
        "long": long,
        "warned": warned,
    }


class asked:
    """Logs what is done within: when, and which calls it makes. An error that is expected ends here."""

    def __init__(self, port, *calls, error=None):
        self.port, self.calls, self.error = port, calls, error

    def __enter__(self):
        self.start = time.time_ns()

    def __exit__(self, kind, error, _):
        line = {"pid": os.getpid(), "port": self.port, "start": self.start, "end": time.time_ns(), "calls": self.calls}
        LOG.write(json.dumps(line) + "\n")
        expected = self.error is not None and kind is not None and issubclass(kind, self.error)
        if self.error is not None and not expected:
            raise SystemExit(f"no error: {self.calls}")
        return expected

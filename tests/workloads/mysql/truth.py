"""What the Python clients of MySQL share: their log (see ../README.md). Arguments: PORT LOG."""

import json
import os
import sys
import time

PORT, LOG = int(sys.argv[1]), open(sys.argv[2], "w", buffering=1)
SOCKET = os.environ.get("UNIX_SOCKET")
LOGIN = {"unix_socket": SOCKET, "host": "127.0.0.1", "port": PORT, "user": "app", "password": "secret", "database": "shop", "ssl_disabled": True}


def call(summary, returned=None, affected=None, code=None, batch=None, long=False, namespace="shop", operation=None, logged=True):
    """One call as it must be seen."""
    return {
        "summary": summary,
        "operation": operation,
        "namespace": namespace,
        "returned": returned,
        "affected": affected,
        "code": code,
        "batch": batch,
        "long": long,
        "logged": logged,
    }


def log(connection, start, calls):
    line = {"pid": os.getpid(), "connection": connection, "start": start, "end": time.time_ns(), "calls": calls}
    LOG.write(json.dumps(line) + "\n")


class asked:
    """Logs what is done within: when, on which connection by the server's number, and which calls it makes.

    An error of that number is expected and ends here.
    """

    def __init__(self, connection, *calls, error=None):
        self.connection, self.calls, self.error = connection, calls, error

    def __enter__(self):
        self.start = time.time_ns()

    def __exit__(self, kind, error, _):
        log(self.connection, self.start, self.calls)
        got = error.args[0] if error is not None and error.args else None
        if self.error is not None and got != self.error:
            raise SystemExit(f"{got}, not {self.error}: {self.calls}")
        return self.error is not None

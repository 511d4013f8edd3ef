"""What the clients of a search server share: their log (see ../README.md). Arguments: PORT LOG TAG.

Each call has a word of its own in its URL (`filter_path=-WORD`, which changes nothing).
"""

import itertools
import json
import os
import string
import sys
import time

PORT, LOG, TAG = int(sys.argv[1]), open(sys.argv[2], "w", buffering=1), sys.argv[3]
INDEX = f"products-{TAG}"
LETTERS = itertools.product(string.ascii_lowercase, repeat=3)


class call:
    """Logs what is done within: when, and what is asked. An error with this status ends here."""

    def __init__(self, system, operation, index=None, *, status=200, size=None, failed=None, text=None):
        self.word = TAG + "".join(next(LETTERS))
        self.params = {"filter_path": "-" + self.word}
        self.line = {"call": self.word, "system": system, "operation": operation, "index": index,
                     "size": size, "failed": failed, "text": text, "status": status, "pid": os.getpid()}

    def __enter__(self):
        self.line["start"] = time.time_ns()
        return self.params

    def __exit__(self, kind, error, _):
        self.line["end"] = time.time_ns()
        LOG.write(json.dumps(self.line) + "\n")
        status = getattr(error, "status_code", None)
        if kind is not None and status != self.line["status"]:
            return False
        if kind is None and self.line["status"] >= 400 and not self.line["operation"].endswith("exists"):
            raise SystemExit(f"no error: {self.line}")
        return True

"""What the Python clients share: reading the plan, writing the log (see ../README.md)."""

import json
import os
import signal
import sys
import threading
import time

stopping = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopping.set())


class Call:
    def __init__(self, line):
        self.id, self.method, self.url, body, flags = line.rstrip("\n").split("\t")
        self.body = int(body)
        self.flags = dict((f + "=").split("=")[:2] for f in flags.split(",") if f)
        self.headers = {"x-pad-%d" % n: "p" * 4000 for n in range(int(self.flags.get("pad", 0)) // 4000)}
        self.chunked = "chunked" in self.flags
        self.expect = "expect" in self.flags
        self.pause = int(self.flags.get("pause", 0)) / 1000

    def chunks(self):
        left = self.body
        while left > 0:
            yield b"x" * min(left, 700)
            left -= 700


class Log:
    def __init__(self, path):
        self.file = open(path, "w", buffering=1)

    def write(self, call, start, end, status, received, **more):
        line = {"call": call.id, "method": call.method, "url": call.url, "status": status, "sent": call.body,
                "received": received, "start": start, "end": end, "pid": os.getpid(), **more}
        self.file.write(json.dumps(line) + "\n")


def calls():
    """The calls of the plan until SIGTERM."""
    with open(sys.argv[1]) as plan:
        for line in plan:
            if stopping.is_set():
                return
            yield Call(line)


log = Log(sys.argv[2])
concurrency = int(sys.argv[3])


def run_threads(worker):
    """Runs `worker(next_call)` on as many threads as asked for; `next_call()` is None at the end."""
    lock, plan = threading.Lock(), calls()

    def next_call():
        with lock:
            return next(plan, None)

    threads = [threading.Thread(target=worker, args=(next_call,)) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)  # a join without limit would keep the signal handler from running


now = time.time_ns

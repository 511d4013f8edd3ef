"""Messages that look alike: `senders.py PORT LOG TAG send|take COUNT|QUEUE`; see `README.md` of the workloads.

Every body has the same length and ends with a number that no other has, by which the logs know each message;
nobody else looks there. Of the messages some have an id of their own, some share one with the next, some
have none, some go to two queues."""

import json
import os
import sys
import threading
import time

import pika

PORT, PATH, TAG, WHAT = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
LOG, LOCK = open(PATH, "w"), threading.Lock()
DIRECT, ALL = f"{TAG}-direct", f"{TAG}-all"
THREADS = 4


def log(**line):
    with LOCK:
        LOG.write(json.dumps({"pid": os.getpid(), **line}) + "\n")


def connect():
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORT))
    # Until everything is captured.
    time.sleep(0.3)
    return connection


def send(thread, count):
    connection = connect()
    channel = connection.channel()
    for number in range(thread, count, THREADS):
        kind = ("own", "none", "shared", "all")[number // THREADS % 4]
        # Two share an id, four messages of this thread apart.
        pair = number // THREADS // 8
        name = {"own": f"{TAG}-{number}", "all": f"{TAG}-{number}", "none": None,
                "shared": f"{TAG}-{thread}-{pair}"}[kind]
        exchange = ALL if kind == "all" else DIRECT
        start = time.time_ns()
        channel.basic_publish(exchange, "key", b"x" * 20 + b"%08d" % number,
                              pika.BasicProperties(message_id=name))
        log(operation="publish", number=number, kind=kind, id=name, start=start, end=time.time_ns())
    connection.close()


def take(queue):
    channel = connect().channel()
    seen = 0

    def received(channel, method, properties, body):
        nonlocal seen
        seen += 1
        log(operation="consume", number=int(body[-8:]), id=properties.message_id, tag=method.delivery_tag,
            redelivered=method.redelivered, dead=bool((properties.headers or {}).get("x-death")))
        if seen % 19 == 7 and not method.redelivered:
            channel.basic_nack(method.delivery_tag, requeue=True)
        elif seen % 23 == 11:
            channel.basic_reject(method.delivery_tag, requeue=False)
        else:
            channel.basic_ack(method.delivery_tag)

    channel.basic_qos(prefetch_count=50)
    channel.basic_consume(queue, received)
    open(f"{PATH}.ready", "w").close()
    last, before = time.monotonic(), 0
    # Until it is told so, and nothing came for a while.
    while not os.path.exists(f"{PATH}.stop") or time.monotonic() - last < 2:
        channel.connection.process_data_events(time_limit=0.2)
        if seen != before:
            last, before = time.monotonic(), seen
    channel.connection.close()


def declare():
    channel = connect().channel()
    channel.exchange_declare(DIRECT, "direct")
    channel.exchange_declare(ALL, "fanout")
    channel.queue_declare(f"{TAG}-dead")
    dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{TAG}-dead"}
    for queue in ("one", "two"):
        channel.queue_declare(f"{TAG}-{queue}", arguments=dead)
        channel.queue_bind(f"{TAG}-{queue}", ALL)
    channel.queue_bind(f"{TAG}-one", DIRECT, "key")
    channel.connection.close()


if WHAT == "declare":
    declare()
elif WHAT == "take":
    take(sys.argv[5])
else:
    threads = [threading.Thread(target=send, args=(n, int(sys.argv[5]))) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
LOG.close()

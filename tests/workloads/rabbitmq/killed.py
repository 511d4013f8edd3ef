"""Messages that are left: `killed.py PORT LOG TAG send|hold|take COUNT`.

`send` publishes COUNT messages, `hold` is brought as many, settles every fourth, says so in the log and
waits to be killed; `take` settles COUNT messages and ends."""

import json
import os
import sys
import time

import pika

PORT, PATH, TAG, WHAT, COUNT = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])
LOG, QUEUE = open(PATH, "a"), f"{TAG}-left"


def log(**line):
    LOG.write(json.dumps({"pid": os.getpid(), "destination": QUEUE, **line}) + "\n")
    LOG.flush()


connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORT))
channel = connection.channel()
channel.queue_declare(QUEUE)
seen = 0


def received(channel, method, properties, body):
    global seen
    at = start = time.time_ns()
    settles = WHAT == "take" or seen % 4 == 0
    if settles:
        channel.basic_ack(method.delivery_tag)
    log(operation="consume", id=properties.message_id, size=len(body), at=at, tag=method.delivery_tag,
        start=start if settles else None, end=time.time_ns() if settles else None,
        redelivered=method.redelivered, settled="ack" if settles else None, held=not settles)
    seen += 1


if WHAT == "send":
    for number in range(COUNT):
        start = time.time_ns()
        channel.basic_publish("", QUEUE, b"secret", pika.BasicProperties(message_id=f"{TAG}-{number}"))
        log(operation="publish", id=f"{TAG}-{number}", size=6, start=start, end=time.time_ns())
else:
    channel.basic_qos(prefetch_count=COUNT)
    channel.basic_consume(QUEUE, received)
    while seen < COUNT:
        connection.process_data_events(time_limit=1)
    open(f"{PATH}.{WHAT}", "w").close()
    while WHAT == "hold":
        connection.process_data_events(time_limit=1)
connection.close()

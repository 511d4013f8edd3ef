"""Messages of pika: `pika_client.py PORT LOG TAG`; see `README.md` of the workloads.

Each message has an id of its own, beginning with TAG, and lines in the log: that it was sent, and how
that ended; each time that it was brought, and what was said of it.
"""

import json
import os
import sys
import time

import pika

PORT, LOG, TAG = int(sys.argv[1]), open(sys.argv[2], "w"), sys.argv[3]
SIZES = [0, 1, 100, 5_000, 70_000, 300_000]
EXCHANGE, QUEUE, OTHER = f"{TAG}-ex", f"{TAG}-q", f"{TAG}-other"


def log(**line):
    LOG.write(json.dumps({"pid": os.getpid(), **line}) + "\n")
    LOG.flush()


def body(size):
    return b"secret-"[:size] + b"\xce\x01" * (max(size - 7, 0) // 2) + b"x" * (max(size - 7, 0) % 2)


def publish(channel, name, size, exchange, key, *, confirmed=False, mandatory=False, trace=None):
    message = f"{TAG}-{name}"
    headers = {"token": "secret", "depth": {"a": [1, "secret"]}}
    if trace:
        headers["traceparent"] = trace
    properties = pika.BasicProperties(message_id=message, correlation_id=f"c-{message}",
                                      headers=headers, delivery_mode=1)
    error = None
    start = time.time_ns()
    try:
        channel.basic_publish(exchange, key, body(size), properties, mandatory=mandatory)
    except pika.exceptions.UnroutableError:
        error = "312"
    end = time.time_ns()
    log(operation="publish", id=message, size=len(body(size)), start=start, end=end, error=error,
        destination=":".join(part for part in (exchange, key) if part), confirmed=confirmed,
        trace=trace)


def trace_of(number):
    return f"00-{number:032x}-{number:016x}-01"


def declare(channel):
    channel.exchange_declare(EXCHANGE, "direct", auto_delete=True)
    for queue, key in ((QUEUE, "key"), (OTHER, OTHER)):
        channel.queue_declare(queue)
        channel.queue_bind(queue, EXCHANGE, key)


def settle(channel, tag, number):
    """Acknowledges most one by one, every tenth together with the next, and turns some down."""
    start = time.time_ns()
    if number % 7 == 3:
        channel.basic_reject(tag, requeue=False)
        settled = "reject"
    elif number % 7 == 5:
        channel.basic_nack(tag, requeue=False)
        settled = "reject"
    else:
        channel.basic_ack(tag)
        settled = "ack"
    return settled, start, time.time_ns()


def main():
    parameters = pika.ConnectionParameters("127.0.0.1", PORT)
    connection = pika.BlockingConnection(parameters)
    plain, sure = connection.channel(), connection.channel()
    declare(plain)
    sure.confirm_delivery()
    count = 0
    for number, size in enumerate(SIZES * 4):
        publish(plain, f"p{number}", size, EXCHANGE, "key",
                trace=trace_of(number + 1) if number % 3 == 0 else None)
        publish(sure, f"s{number}", size, EXCHANGE, "key", confirmed=True)
        count += 2
    for number in range(10):
        publish(sure, f"lost{number}", 10, EXCHANGE, "nowhere", confirmed=True, mandatory=True)
        publish(plain, f"d{number}", 10, "", OTHER)

    for number in range(5):
        start = time.time_ns()
        method, properties, content = plain.basic_get(OTHER, auto_ack=True)
        log(operation="get", id=properties.message_id, size=len(content), start=start,
            end=time.time_ns(), destination=OTHER, settled=None)
    plain.queue_declare(f"{TAG}-empty", exclusive=True)
    assert plain.basic_get(f"{TAG}-empty")[0] is None

    seen = {"settled": 0, "auto": 0, "again": 0}

    def settled(channel, method, properties, content):
        at = time.time_ns()
        seen["settled"] += 1
        if seen["settled"] == 4:
            start = time.time_ns()
            channel.basic_nack(method.delivery_tag, requeue=True)
            how, end = "requeue", time.time_ns()
        else:
            how, start, end = settle(channel, method.delivery_tag, seen["settled"])
        log(operation="consume", id=properties.message_id, size=len(content), at=at, settled=how,
            start=start, end=end, destination=f"{EXCHANGE}:key:{QUEUE}", tag=method.delivery_tag,
            redelivered=method.redelivered, trace=(properties.headers or {}).get("traceparent"))

    def auto(channel, method, properties, content):
        seen["auto"] += 1
        log(operation="consume", id=properties.message_id, size=len(content), at=time.time_ns(),
            settled=None, destination=OTHER, tag=method.delivery_tag, redelivered=False, trace=None)

    plain.basic_qos(prefetch_count=8)
    plain.basic_consume(QUEUE, settled)
    sure.basic_consume(OTHER, auto, auto_ack=True)
    while seen["settled"] < count + 1 or seen["auto"] < 5:
        connection.process_data_events(time_limit=1)

    broken = connection.channel()
    start = time.time_ns()
    try:
        broken.basic_get(f"{TAG}-missing")
    except pika.exceptions.ChannelClosedByBroker as closed:
        log(operation="get", id=None, size=None, start=start, end=time.time_ns(),
            destination=f"{TAG}-missing", error=str(closed.reply_code), settled=None)
    for queue in (QUEUE, OTHER):
        plain.queue_delete(queue)
    connection.close()


main()

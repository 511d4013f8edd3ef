"""Sends and takes messages on and on, whatever becomes of the broker: `steady.py KIND PORT LOG TAG`, KIND
`pika` or `aio-pika`. Messages outlive the broker. It ends some time after a file LOG.stop is there, when
nothing more comes.

pika connects again by hand, aio-pika does so by itself."""

import asyncio
import json
import os
import sys
import threading
import time

import aio_pika
import pika

KIND, PORT, PATH, TAG = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
LOG, QUEUE = open(PATH, "w"), f"{TAG}-steady"
LOCK = threading.Lock()
BODY = b"secret" * 10
PAUSE, QUIET = 0.01, 1.5


def log(**line):
    with LOCK:
        LOG.write(json.dumps({"pid": os.getpid(), "size": len(BODY), "destination": QUEUE, **line}) + "\n")
        LOG.flush()


def sent(message_id, start, confirmed):
    log(operation="publish", id=message_id, start=start, end=time.time_ns(), error=None,
        confirmed=confirmed, unsure=not confirmed)


def taken(message_id, at, start, tag, redelivered, settled):
    log(operation="consume", id=message_id, at=at, start=start, end=time.time_ns(), tag=tag,
        redelivered=bool(redelivered), settled="ack" if settled else None, unsure=not settled)


def stopped():
    return os.path.exists(PATH + ".stop")


def publisher():
    number = 0
    while not stopped():
        try:
            connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORT))
            channel = connection.channel()
            channel.queue_declare(QUEUE, durable=True)
            channel.confirm_delivery()
            while not stopped():
                number += 1
                start, done = time.time_ns(), False
                try:
                    properties = pika.BasicProperties(message_id=f"{TAG}-{number}", delivery_mode=2)
                    channel.basic_publish("", QUEUE, BODY, properties)
                    done = True
                finally:
                    sent(f"{TAG}-{number}", start, done)
                connection.sleep(PAUSE)
            connection.close()
        except (pika.exceptions.AMQPError, OSError):
            time.sleep(0.1)


def consumer():
    last = time.monotonic()

    def received(channel, method, properties, body):
        nonlocal last
        at = start = time.time_ns()
        done = False
        try:
            channel.basic_ack(method.delivery_tag)
            done = True
        finally:
            taken(properties.message_id, at, start, method.delivery_tag, method.redelivered, done)
        last = time.monotonic()

    while not stopped() or time.monotonic() - last < QUIET:
        try:
            connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORT))
            channel = connection.channel()
            channel.queue_declare(QUEUE, durable=True)
            channel.basic_qos(prefetch_count=8)
            channel.basic_consume(QUEUE, received)
            while not stopped() or time.monotonic() - last < QUIET:
                connection.process_data_events(time_limit=0.2)
            connection.close()
        except (pika.exceptions.AMQPError, OSError):
            time.sleep(0.1)


async def robust():
    url = f"amqp://guest:guest@127.0.0.1:{PORT}/"
    sending = await aio_pika.connect_robust(url, reconnect_interval=0.2)
    taking = await aio_pika.connect_robust(url, reconnect_interval=0.2)
    channel = await sending.channel()
    queue = await (await taking.channel()).declare_queue(QUEUE, durable=True)
    await queue.channel.set_qos(prefetch_count=8)
    last = time.monotonic()

    async def received(message):
        nonlocal last
        at = start = time.time_ns()
        done = False
        try:
            await message.ack()
            done = True
        except Exception:
            pass
        taken(message.message_id, at, start, message.delivery_tag, message.redelivered, done)
        last = time.monotonic()

    await queue.consume(received)
    number = 0
    while not stopped():
        number += 1
        message = aio_pika.Message(BODY, message_id=f"{TAG}-{number}",
                                   delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        start, done = time.time_ns(), False
        try:
            publishing = channel.default_exchange.publish(message, QUEUE, timeout=2)
            done = await asyncio.wait_for(publishing, 3) is not None
        except Exception:
            await asyncio.sleep(0.1)
        sent(f"{TAG}-{number}", start, done)
        await asyncio.sleep(PAUSE)
    while time.monotonic() - last < QUIET:
        await asyncio.sleep(0.1)
    await sending.close()
    await taking.close()


if KIND == "pika":
    threads = [threading.Thread(target=work) for work in (publisher, consumer)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
else:
    asyncio.run(robust())

"""Works on messages, and asks another server for each: `worker.py PORT LOG TAG KIND COUNT DOWN`; see
`README.md` of the workloads. The URL of each call ends with the id of the message that it is made for.

Kinds: `one` (pika, a message at a time), `threads` (four of these in a process), `many` (pika, as many as
come), `first` (settles first, works then), `timer` (one that also asks for itself, every so often), `tasks`
(aio-pika, tasks side by side)."""

import asyncio
import http.client
import json
import os
import sys
import threading
import time

import aio_pika
import aiohttp
import pika

PORT, PATH, TAG, KIND, COUNT, DOWN = sys.argv[1:]
PORT, COUNT, DOWN = int(PORT), int(COUNT), int(DOWN)
LOG, LOCK, QUEUE = open(PATH, "w"), threading.Lock(), f"{TAG}-work"
THREADS = 4 if KIND == "threads" else 1
EVERY = 0.013
seen = 0


def log(**line):
    with LOCK:
        LOG.write(json.dumps({"pid": os.getpid(), **line}) + "\n")


def ask(connection, call):
    connection.request("GET", f"/bytes/10?call={call}")
    connection.getresponse().read()
    log(operation="call", id=call)


def work():
    down = http.client.HTTPConnection("127.0.0.1", DOWN)
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORT))
    time.sleep(0.3)
    channel = connection.channel()

    def received(channel, method, properties, body):
        global seen
        name = properties.message_id
        if KIND == "first":
            channel.basic_ack(method.delivery_tag)
        for number in range(1 + len(name) % 3):
            ask(down, f"{name}.{number}")
        # Part of the work, too.
        channel.basic_publish("", f"{TAG}-done", b"", pika.BasicProperties(message_id=f"{name}.done"))
        if KIND != "first":
            channel.basic_ack(method.delivery_tag)
        with LOCK:
            seen += 1

    def by_itself():
        ask(down, f"{TAG}-timer-{time.monotonic_ns()}.0")
        connection.call_later(EVERY, by_itself)

    if KIND == "timer":
        by_itself()
    channel.basic_qos(prefetch_count=16 if KIND == "many" else 1)
    channel.basic_consume(QUEUE, received)
    while seen < COUNT:
        connection.process_data_events(time_limit=0.2)
    connection.close()


async def tasks():
    global seen
    connection = await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{PORT}/")
    await asyncio.sleep(0.3)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=8)
    queue = await channel.get_queue(QUEUE)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{DOWN}") as session:
        async def received(message):
            global seen
            for number in range(2):
                call = f"{message.message_id}.{number}"
                async with session.get(f"/bytes/10?call={call}") as answer:
                    await answer.read()
                log(operation="call", id=call)
                await asyncio.sleep(0.001)
            await message.ack()
            seen += 1

        await queue.consume(received)
        while seen < COUNT:
            await asyncio.sleep(0.1)
    await connection.close()


def fill():
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORT))
    channel = connection.channel()
    channel.queue_declare(QUEUE)
    channel.queue_declare(f"{TAG}-done")
    for number in range(COUNT):
        properties = pika.BasicProperties(message_id=f"{TAG}-{number}")
        channel.basic_publish("", QUEUE, b"work", properties)
    connection.close()


fill()
if KIND == "tasks":
    asyncio.run(tasks())
else:
    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
LOG.close()

"""The same of aio-pika: `aio_pika_client.py PORT LOG TAG`. Many tasks share one connection, and
publish at once on several channels.

All clients but pika wait a moment when they have connected: until the agent has asked the kernel for
everything, what does not fit into the front of a turn is lost, and counted. Then messages come by the
dozen in one read: asyncio takes up to 256 KiB."""

import asyncio
import json
import os
import sys
import time

import aio_pika

PORT, LOG, TAG = int(sys.argv[1]), open(sys.argv[2], "w"), sys.argv[3]
SIZES = [0, 3, 7_000, 30_000]
EXCHANGE, QUEUE = f"{TAG}-ex", f"{TAG}-q"
TASKS, EACH = 8, 20


def log(**line):
    LOG.write(json.dumps({"pid": os.getpid(), **line}) + "\n")
    LOG.flush()


async def publish(exchange, name, size, confirmed):
    message_id = f"{TAG}-{name}"
    message = aio_pika.Message(b"s" * size, message_id=message_id, headers={"secret": "secret"})
    start = time.time_ns()
    await exchange.publish(message, "key", mandatory=False)
    log(operation="publish", id=message_id, size=size, start=start, end=time.time_ns(), error=None,
        destination=f"{EXCHANGE}:key", confirmed=confirmed, trace=None)


async def sender(connection, number):
    sure = number % 2 == 0
    async with connection.channel(publisher_confirms=sure) as channel:
        exchange = await channel.get_exchange(EXCHANGE)
        # Several tasks wait for confirms on one channel.
        tasks = [publish(exchange, f"t{number}-{n}", SIZES[n % len(SIZES)], sure) for n in range(EACH)]
        await asyncio.gather(*tasks)


async def main():
    connection = await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{PORT}/")
    async with connection:
        await asyncio.sleep(0.3)
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=64)
        exchange = await channel.declare_exchange(EXCHANGE, "direct", auto_delete=True)
        queue = await channel.declare_queue(QUEUE)
        await queue.bind(exchange, "key")
        done = asyncio.Event()
        left = TASKS * EACH

        async def received(message):
            nonlocal left
            at = time.time_ns()
            await asyncio.sleep(0.001)
            start = time.time_ns()
            await message.ack()
            log(operation="consume", id=message.message_id, size=len(message.body), at=at,
                settled="ack", start=start, end=time.time_ns(), tag=message.delivery_tag,
                destination=f"{EXCHANGE}:key:{QUEUE}", redelivered=bool(message.redelivered),
                trace=None)
            left -= 1
            if left == 0:
                done.set()

        await queue.consume(received)
        await asyncio.gather(*(sender(connection, number) for number in range(TASKS)))
        await asyncio.wait_for(done.wait(), 30)
        await queue.delete(if_unused=False, if_empty=False)


asyncio.run(main())

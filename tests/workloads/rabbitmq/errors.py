"""What brokers refuse, asked by pika: `errors.py PORT LOG TAG`. The log says which reply code came, and what
it was the end of: a call that waited for an answer, or nothing (`close`)."""

import json
import os
import sys
import time

import pika

PORT, LOG, TAG = int(sys.argv[1]), open(sys.argv[2], "w"), sys.argv[3]


def connect(**how):
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORT, **how))


def refused(what, operation="close", destination="", **line):
    """Does what the broker refuses with a reply code, and says which."""
    start, code = time.time_ns(), None
    try:
        what()
    except pika.exceptions.ChannelClosedByBroker as closed:
        code = closed.reply_code
    except pika.exceptions.ConnectionClosedByBroker as closed:
        code = closed.reply_code
    except pika.exceptions.ProbableAuthenticationError:
        code = 403
    except pika.exceptions.ProbableAccessDeniedError:
        code = 530
    assert code, f"{what}: no reply code"
    log = {"operation": operation, "destination": destination, "error": str(code), "start": start,
           "end": time.time_ns(), "pid": os.getpid(), **line}
    LOG.write(json.dumps(log) + "\n")
    LOG.flush()


connection = connect()
channel = connection.channel()
channel.queue_declare(f"{TAG}-q")
for number in range(3):
    refused(lambda: connection.channel().basic_consume(f"{TAG}-none", print))
    refused(lambda: connection.channel().queue_declare(f"{TAG}-q", durable=True))
    refused(lambda: connection.channel().queue_declare(f"{TAG}-none", passive=True))
    refused(lambda: connection.channel().exchange_declare("amq.made-up", "direct"))

    def settles_what_is_not_there():
        other = connection.channel()
        other.basic_ack(77)
        # The next answer that it waits for is the refusal.
        other.basic_qos(prefetch_count=1)

    refused(settles_what_is_not_there)
    sure = connection.channel()
    sure.confirm_delivery()
    properties = pika.BasicProperties(message_id=f"{TAG}-missing-{number}")
    refused(lambda: sure.basic_publish(f"{TAG}-none", "key", b"secret", properties),
            "publish", f"{TAG}-none:key", id=f"{TAG}-missing-{number}", size=6)
    refused(lambda: connection.channel().basic_get(f"{TAG}-none"), "get", f"{TAG}-none")
    refused(lambda: connect(virtual_host="none"))
    refused(lambda: connect(credentials=pika.PlainCredentials("guest", "secret")))
channel.queue_delete(f"{TAG}-q")
connection.close()

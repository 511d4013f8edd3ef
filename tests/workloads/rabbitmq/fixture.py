"""A little of all that pika says, for a recording: `fixture.py PORT`. The counts stand in
`agent/tests/replay/rabbitmq.rs`."""

import sys
import time

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(sys.argv[1])))
plain, sure = connection.channel(), connection.channel()
plain.exchange_declare("fix", "direct", auto_delete=True)
plain.queue_declare("work")
plain.queue_bind("work", "fix", "job")
sure.confirm_delivery()
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
# Until everything is captured.
time.sleep(0.2)

for number in range(12):
    properties = pika.BasicProperties(message_id=f"plain-{number}", correlation_id="talk",
                                      headers={"traceparent": TRACE, "token": "secret"})
    plain.basic_publish("fix", "job", b"secret " * (number % 4), properties)
    sure.basic_publish("", "work", b"\xce\x01" * 20, pika.BasicProperties(message_id=f"sure-{number}"))
for number in range(3):
    try:
        sure.basic_publish("fix", "nowhere", b"x", pika.BasicProperties(message_id=f"back-{number}"),
                           mandatory=True)
    except pika.exceptions.UnroutableError:
        pass
plain.basic_publish("fix", "nowhere", b"xyz", pika.BasicProperties(message_id="sent back"), mandatory=True)
for number in range(2):
    plain.basic_get("work", auto_ack=True)
plain.queue_declare("empty", exclusive=True)
plain.basic_get("empty")

brought = 0
for method, properties, body in plain.consume("work"):
    brought += 1
    if brought == 3:
        plain.basic_nack(method.delivery_tag, requeue=True)
    elif brought % 5 == 0:
        plain.basic_reject(method.delivery_tag, requeue=False)
    else:
        plain.basic_ack(method.delivery_tag)
    if brought == 23:
        break
plain.cancel()
broken = connection.channel()
try:
    broken.basic_get("missing")
except pika.exceptions.ChannelClosedByBroker:
    pass
plain.queue_delete("work")
connection.close()

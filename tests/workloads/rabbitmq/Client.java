import com.rabbitmq.client.*;
import java.io.*;
import java.nio.file.*;
import java.time.Instant;
import java.util.*;
import java.util.concurrent.*;

/** The same of the Java client: {@code Client PORT LOG TAG}. */
public class Client {
    static PrintWriter log;

    static long now() {
        Instant now = Instant.now();
        return now.getEpochSecond() * 1_000_000_000L + now.getNano();
    }

    static synchronized void write(String format, Object... values) {
        log.println("{\"pid\":" + ProcessHandle.current().pid() + "," + String.format(format, values) + "}");
        log.flush();
    }

    public static void main(String[] arguments) throws Exception {
        String tag = arguments[2], exchange = tag + "-ex", queue = tag + "-q";
        log = new PrintWriter(Files.newBufferedWriter(Path.of(arguments[1])));
        ConnectionFactory factory = new ConnectionFactory();
        factory.setHost("127.0.0.1");
        factory.setPort(Integer.parseInt(arguments[0]));
        int[] sizes = {0, 11, 3000, 140_000};
        try (Connection connection = factory.newConnection()) {
            Thread.sleep(300);
            Channel channel = connection.createChannel();
            channel.exchangeDeclare(exchange, "direct", false, true, null);
            channel.queueDeclare(queue, false, false, false, null);
            channel.queueBind(queue, exchange, "key");
            channel.confirmSelect();
            for (int n = 0; n < 60; n++) {
                String id = tag + "-j" + n;
                AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder().messageId(id)
                        .headers(Map.of("token", "secret")).build();
                long start = now();
                channel.basicPublish(exchange, "key", properties, new byte[sizes[n % sizes.length]]);
                channel.waitForConfirmsOrDie(20_000);
                write("\"operation\":\"publish\",\"id\":\"%s\",\"size\":%d,\"start\":%d,\"end\":%d,\"error\":null,"
                        + "\"destination\":\"%s:key\",\"confirmed\":true,\"trace\":null",
                        id, sizes[n % sizes.length], start, now(), exchange);
            }
            CountDownLatch left = new CountDownLatch(60);
            Channel consumer = connection.createChannel();
            consumer.basicQos(5);
            consumer.basicConsume(queue, false, (name, message) -> {
                long at = now();
                long start = now();
                long number = message.getEnvelope().getDeliveryTag();
                consumer.basicAck(number, false);
                write("\"operation\":\"consume\",\"id\":\"%s\",\"size\":%d,\"at\":%d,\"settled\":\"ack\",\"start\":%d,"
                        + "\"end\":%d,\"destination\":\"%s:key:%s\",\"tag\":%d,\"redelivered\":%s,\"trace\":null",
                        message.getProperties().getMessageId(), message.getBody().length, at, start, now(),
                        exchange, queue, number, message.getEnvelope().isRedeliver());
                left.countDown();
            }, name -> {});
            if (!left.await(30, TimeUnit.SECONDS)) throw new IllegalStateException("messages are missing");
            channel.queueDelete(queue);
        }
    }
}

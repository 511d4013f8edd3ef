import com.rabbitmq.client.*;
import java.io.*;
import java.net.*;
import java.nio.file.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;

/** The same of the Java client, whose own threads hand messages over: {@code Worker PORT LOG TAG KIND COUNT DOWN}. */
public class Worker {
    public static void main(String[] arguments) throws Exception {
        String tag = arguments[2], queue = tag + "-work", done = tag + "-done";
        int count = Integer.parseInt(arguments[4]), down = Integer.parseInt(arguments[5]);
        PrintWriter log = new PrintWriter(Files.newBufferedWriter(Path.of(arguments[1])));
        ConnectionFactory factory = new ConnectionFactory();
        factory.setHost("127.0.0.1");
        factory.setPort(Integer.parseInt(arguments[0]));
        try (Connection connection = factory.newConnection(Executors.newFixedThreadPool(4))) {
            Channel channel = connection.createChannel();
            channel.queueDeclare(queue, false, false, false, null);
            channel.queueDeclare(done, false, false, false, null);
            for (int n = 0; n < count; n++) {
                channel.basicPublish("", queue, new AMQP.BasicProperties.Builder().messageId(tag + "-" + n).build(),
                        new byte[4]);
            }
            CountDownLatch left = new CountDownLatch(count);
            Channel consumer = connection.createChannel();
            consumer.basicQos(1);
            consumer.basicConsume(queue, false, (name, message) -> {
                String id = message.getProperties().getMessageId();
                for (int n = 0; n < 2; n++) {
                    URL url = new URL("http://127.0.0.1:" + down + "/bytes/10?call=" + id + "." + n);
                    try (InputStream answer = url.openStream()) {
                        answer.readAllBytes();
                    }
                    synchronized (log) {
                        log.printf("{\"pid\":%d,\"operation\":\"call\",\"id\":\"%s.%d\"}%n",
                                ProcessHandle.current().pid(), id, n);
                    }
                }
                consumer.basicAck(message.getEnvelope().getDeliveryTag(), false);
                left.countDown();
            }, name -> {});
            if (!left.await(60, TimeUnit.SECONDS)) throw new IllegalStateException("messages are missing");
        }
        log.close();
        // The pool would stay.
        System.exit(0);
    }
}

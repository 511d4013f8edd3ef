// java.net.http.HttpClient with its defaults: it offers an upgrade to HTTP/2 on every plain
// request, as unmodified programs do. Usage: java Client PLAN LOG CONCURRENCY
import java.io.ByteArrayInputStream;
import java.io.PrintWriter;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;

public class Client {
    static final HttpClient client = HttpClient.newBuilder()
        .followRedirects(HttpClient.Redirect.NORMAL).build();
    static volatile boolean stopping = false;

    static long now() {
        Instant now = Instant.now();
        return now.getEpochSecond() * 1_000_000_000L + now.getNano();
    }

    static HttpRequest build(String[] fields) {
        byte[] body = "x".repeat(Integer.parseInt(fields[3])).getBytes();
        String flags = fields.length > 4 ? fields[4] : "";
        HttpRequest.BodyPublisher publisher = body.length == 0 ? HttpRequest.BodyPublishers.noBody()
            : flags.contains("chunked") ? HttpRequest.BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body))
            : HttpRequest.BodyPublishers.ofByteArray(body);
        HttpRequest.Builder builder = HttpRequest.newBuilder(URI.create(fields[2])).method(fields[1], publisher);
        if (body.length > 0) {
            // By default it offers HTTP/2, and some servers then take the body for the other protocol's: a race.
            builder.version(HttpClient.Version.HTTP_1_1);
        }
        if (flags.contains("expect")) {
            builder.expectContinue(true);
        }
        int pad = number(flags, "pad=");
        for (int n = 0; n < pad / 4000; n++) {
            builder.header("x-pad-" + n, "p".repeat(4000));
        }
        return builder.build();
    }

    static int number(String flags, String key) {
        for (String flag : flags.split(",")) {
            if (flag.startsWith(key)) {
                return Integer.parseInt(flag.substring(key.length()));
            }
        }
        return 0;
    }

    public static void main(String[] args) throws Exception {
        Queue<String> plan = new ConcurrentLinkedQueue<>(Files.readAllLines(Path.of(args[0])));
        PrintWriter log = new PrintWriter(Files.newBufferedWriter(Path.of(args[1])), true);
        List<Thread> threads = new ArrayList<>();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            stopping = true;
            for (Thread thread : threads) {
                try {
                    thread.join();
                } catch (InterruptedException e) {
                    return;
                }
            }
            log.flush();
        }));
        long pid = ProcessHandle.current().pid();
        for (int n = 0; n < Integer.parseInt(args[2]); n++) {
            Thread thread = new Thread(() -> {
                String line;
                while (!stopping && (line = plan.poll()) != null) {
                    String[] fields = line.split("\t");
                    HttpRequest request = build(fields);
                    try {
                        long start = now();
                        HttpResponse<byte[]> response = client.send(request, HttpResponse.BodyHandlers.ofByteArray());
                        // The clock has microseconds: one more, so that the end is not before the truth.
                        long end = now() + 1000;
                        log.println(String.format("{\"call\":\"%s\",\"method\":\"%s\",\"url\":\"%s\",\"status\":%d,"
                            + "\"sent\":%s,\"received\":%d,\"start\":%d,\"end\":%d,\"pid\":%d}", fields[0], fields[1],
                            fields[2], response.statusCode(), fields[3], response.body().length, start, end, pid));
                        Thread.sleep(number(fields.length > 4 ? fields[4] : "", "pause="));
                    } catch (Exception e) {
                        e.printStackTrace();
                        Runtime.getRuntime().halt(1);
                    }
                }
            });
            threads.add(thread);
            thread.start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        log.flush();
        System.exit(0);
    }
}

// The JDK's own HTTP server. Usage: java Server PORT
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

public class Server {
    public static void main(String[] args) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(Integer.parseInt(args[0])), 128);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", exchange -> {
            try {
                respond(exchange);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            } finally {
                exchange.close();
            }
        });
        server.start();
    }

    static void respond(HttpExchange exchange) throws IOException, InterruptedException {
        int received = exchange.getRequestBody().readAllBytes().length;
        String[] parts = exchange.getRequestURI().getPath().substring(1).split("/");
        switch (parts[0]) {
            case "bytes" -> send(exchange, 200, Integer.parseInt(parts[1]));
            case "chunked" -> {
                exchange.sendResponseHeaders(200, 0); // 0 means: length unknown, in chunks
                try (OutputStream out = exchange.getResponseBody()) {
                    for (int left = Integer.parseInt(parts[1]); left > 0; left -= 1000) {
                        out.write(new byte[Math.min(left, 1000)]);
                        out.flush();
                    }
                }
            }
            case "echo" -> send(exchange, 200, received);
            case "status" -> {
                int status = Integer.parseInt(parts[1]);
                send(exchange, status, status == 204 || status == 304 ? 0 : 7);
            }
            case "redirect" -> {
                String query = exchange.getRequestURI().getQuery();
                exchange.getResponseHeaders().set("Location", "/bytes/10?" + query + ".r");
                send(exchange, 302, 0);
            }
            case "delay" -> {
                Thread.sleep(Integer.parseInt(parts[1]));
                send(exchange, 200, 8);
            }
            case "sse" -> {
                exchange.getResponseHeaders().set("Content-Type", "text/event-stream");
                exchange.sendResponseHeaders(200, 0);
                try (OutputStream out = exchange.getResponseBody()) {
                    for (int n = 0; n < Integer.parseInt(parts[1]); n++) {
                        if (n > 0) {
                            Thread.sleep(Integer.parseInt(parts[2]));
                        }
                        out.write(("data: " + n + "\n\n").getBytes());
                        out.flush();
                    }
                }
            }
            case "pad" -> {
                int left = Integer.parseInt(parts[1]);
                for (int n = 0; left > 0; left -= 4000, n++) {
                    exchange.getResponseHeaders().set("X-Pad-" + n, "p".repeat(Math.min(left, 4000)));
                }
                send(exchange, 200, 2);
            }
            default -> send(exchange, 404, 7);
        }
    }

    static void send(HttpExchange exchange, int status, int size) throws IOException {
        if (exchange.getRequestMethod().equals("HEAD")) {
            exchange.getResponseHeaders().set("Content-Length", Integer.toString(size));
            exchange.sendResponseHeaders(status, -1);
        } else if (size == 0) {
            exchange.sendResponseHeaders(status, -1);
        } else {
            exchange.sendResponseHeaders(status, size);
            exchange.getResponseBody().write(new byte[size]);
        }
    }
}

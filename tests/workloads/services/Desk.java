// A Java service that asks others while it answers. Usage: java Desk HOW PORT; DOWN is the base URL of a
// service, POSTGRES the port of a server. HOW is how requests come to threads:
//   socket   each connection has its thread
//   jdk      the JDK's HttpServer with a pool of threads
//   tomcat   an embedded Tomcat
//   handoff  one thread reads the requests of all connections and hands them to a pool
import com.sun.net.httpserver.HttpServer;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;

public class Desk {
    static final String DOWN = System.getenv("DOWN");
    static final String ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    static final ExecutorService POOL = Executors.newFixedThreadPool(64);
    static final ThreadLocal<Connection> DATABASE = ThreadLocal.withInitial(() -> {
        try {
            String url = "jdbc:postgresql://127.0.0.1:" + System.getenv("POSTGRES") + "/?user=postgres";
            return DriverManager.getConnection(url);
        } catch (SQLException error) {
            throw new IllegalStateException(error);
        }
    });

    /** The id of another request, if ids are permuted: the last digit is one higher. */
    static String others(String call) {
        if (System.getenv("PERMUTED") == null) {
            return call;
        }
        int last = call.length() - 1;
        return call.substring(0, last) + (call.charAt(last) - '0' + 1) % 10;
    }

    static void ask(String call, String n) throws IOException {
        URI uri = URI.create(DOWN + "/bytes/10?call=" + others(call) + "." + n);
        HttpURLConnection connection = (HttpURLConnection) uri.toURL().openConnection();
        try (InputStream body = connection.getInputStream()) {
            body.readAllBytes();
        }
    }

    static void select(String call, String n) throws SQLException {
        try (Statement statement = DATABASE.get().createStatement();
                ResultSet rows = statement.executeQuery("SELECT 1 AS \"call=" + others(call) + "." + n + "\"")) {
            rows.next();
        }
    }

    /** `query` is `call=ID`. */
    static void work(String query) throws IOException {
        String call = query.substring("call=".length());
        try {
            ask(call, "one");
            Thread.sleep(Math.floorMod(call.hashCode(), 8));
            select(call, "two");
            ask(call, "three");
        } catch (SQLException | InterruptedException error) {
            throw new IOException(error);
        }
    }

    /** The query of a request's first line. */
    static String query(String line) {
        return line.split(" ")[1].split("\\?")[1];
    }

    static void socket(int port) throws IOException {
        try (ServerSocket server = new ServerSocket(port, 128, InetAddress.getLoopbackAddress())) {
            while (true) {
                Socket socket = server.accept();
                new Thread(() -> {
                    try (socket) {
                        serve(socket);
                    } catch (IOException error) {
                        error.printStackTrace();
                    }
                }).start();
            }
        }
    }

    static void serve(Socket socket) throws IOException {
        BufferedReader reader = new BufferedReader(new InputStreamReader(socket.getInputStream()));
        OutputStream out = socket.getOutputStream();
        String first;
        while ((first = reader.readLine()) != null) {
            String line = first;
            while (line != null && !line.isEmpty()) {
                line = reader.readLine();
            }
            work(query(first));
            out.write(ANSWER.getBytes());
        }
    }

    static void jdk(int port) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 128);
        server.setExecutor(POOL);
        server.createContext("/", exchange -> {
            try (exchange) {
                work(exchange.getRequestURI().getQuery());
                exchange.sendResponseHeaders(200, 2);
                exchange.getResponseBody().write("{}".getBytes());
            }
        });
        server.start();
    }

    static void tomcat(int port) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(System.getProperty("java.io.tmpdir"));
        tomcat.setHostname("127.0.0.1");
        tomcat.setPort(port);
        tomcat.getConnector();
        Context context = tomcat.addContext("", new File(".").getAbsolutePath());
        Tomcat.addServlet(context, "desk", new HttpServlet() {
            @Override
            protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
                work(request.getQueryString());
                response.getWriter().write("{}");
            }
        });
        context.addServletMappingDecoded("/*", "desk");
        tomcat.start();
        tomcat.getServer().await();
    }

    static void handoff(int port) throws IOException {
        Selector selector = Selector.open();
        ServerSocketChannel server = ServerSocketChannel.open();
        server.bind(new InetSocketAddress("127.0.0.1", port), 128).configureBlocking(false);
        server.register(selector, SelectionKey.OP_ACCEPT);
        ByteBuffer buffer = ByteBuffer.allocate(16384);
        while (true) {
            selector.select();
            for (SelectionKey key : selector.selectedKeys()) {
                if (key.isAcceptable()) {
                    SocketChannel channel = server.accept();
                    channel.configureBlocking(false).register(selector, SelectionKey.OP_READ);
                    continue;
                }
                SocketChannel channel = (SocketChannel) key.channel();
                if (channel.read(buffer.clear()) <= 0) {
                    channel.close();
                    continue;
                }
                String query = query(new String(buffer.array(), 0, buffer.position()));
                POOL.execute(() -> {
                    try {
                        work(query);
                        channel.write(ByteBuffer.wrap(ANSWER.getBytes()));
                    } catch (IOException error) {
                        error.printStackTrace();
                    }
                });
            }
            selector.selectedKeys().clear();
        }
    }

    public static void main(String[] args) throws Exception {
        int port = Integer.parseInt(args[1]);
        switch (args[0]) {
            case "socket" -> socket(port);
            case "jdk" -> jdk(port);
            case "tomcat" -> tomcat(port);
            case "handoff" -> handoff(port);
            default -> throw new IllegalArgumentException(args[0]);
        }
    }
}

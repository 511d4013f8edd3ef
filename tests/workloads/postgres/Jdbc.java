// pgjdbc: unnamed statements, named after five uses; BEGIN goes along with the first of a transaction.

import java.io.PrintWriter;
import java.net.Socket;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.util.Properties;

public class Jdbc {
    interface Work {
        void run() throws Exception;
    }

    static PrintWriter log;
    static int port;

    static long now() {
        Instant now = Instant.now();
        return now.getEpochSecond() * 1_000_000_000L + now.getNano();
    }

    /** A call: summary, rows, rows written, SQLSTATE, batch, whether its answer is long. */
    static String call(String summary, Integer returned, Integer affected, String code, Integer batch, boolean isLong) {
        return String.format("{\"summary\":\"%s\",\"returned\":%s,\"affected\":%s,\"code\":%s,\"batch\":%s,\"long\":%b}",
            summary, returned, affected, code == null ? null : '"' + code + '"', batch, isLong);
    }

    static String selected(String summary, int rows) {
        return call(summary, rows, null, null, null, false);
    }

    static String wrote(String summary, int rows) {
        return call(summary, null, rows, null, null, false);
    }

    static String done(String summary) {
        return call(summary, null, null, null, null, false);
    }

    static void asked(String code, Work work, String... calls) throws Exception {
        long start = now();
        String got = null;
        try {
            work.run();
        } catch (SQLException error) {
            got = error.getSQLState();
        }
        log.printf("{\"pid\":%d,\"port\":%d,\"start\":%d,\"end\":%d,\"calls\":[%s]}%n",
            ProcessHandle.current().pid(), port, start, now(), String.join(",", calls));
        if (code == null ? got != null : !code.equals(got)) throw new IllegalStateException(got + ", not " + code);
    }

    /** Sockets that know their port. */
    public static class Sockets extends javax.net.SocketFactory {
        static Socket last;

        @Override
        public Socket createSocket() {
            return last = new Socket();
        }

        @Override
        public Socket createSocket(String host, int port) {
            throw new UnsupportedOperationException();
        }

        @Override
        public Socket createSocket(String host, int port, java.net.InetAddress own, int ownPort) {
            throw new UnsupportedOperationException();
        }

        @Override
        public Socket createSocket(java.net.InetAddress host, int port) {
            throw new UnsupportedOperationException();
        }

        @Override
        public Socket createSocket(java.net.InetAddress host, int port, java.net.InetAddress own, int ownPort) {
            throw new UnsupportedOperationException();
        }
    }

    static int read(PreparedStatement statement) throws SQLException {
        int count = 0;
        try (ResultSet rows = statement.executeQuery()) {
            for (; rows.next(); count++) rows.getString(1);
        }
        return count;
    }

    public static void main(String[] arguments) throws Exception {
        log = new PrintWriter(arguments[1]);
        Properties properties = new Properties();
        properties.put("user", "postgres");
        properties.put("socketFactory", "Jdbc$Sockets");
        properties.put("assumeMinServerVersion", "15");
        properties.put("ApplicationName", "jdbc");
        Connection connection = DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + arguments[0] + "/postgres", properties);
        port = Sockets.last.getLocalPort();
        Statement plain = connection.createStatement();
        asked(null, () -> plain.execute("CREATE TABLE jd (id int PRIMARY KEY, name text)"), done("CREATE TABLE jd"));
        connection.setAutoCommit(false);
        PreparedStatement insert = connection.prepareStatement("INSERT INTO jd VALUES (?, ?)");
        for (int n = 0; n < 10; n++) {
            insert.setInt(1, n);
            insert.setString(2, "secret" + n);
            String[] calls = n == 0 ? new String[] {done("BEGIN"), wrote("INSERT jd", 1)} : new String[] {wrote("INSERT jd", 1)};
            asked(null, insert::executeUpdate, calls);
        }
        asked(null, connection::commit, done("COMMIT"));
        connection.setAutoCommit(true);
        PreparedStatement select = connection.prepareStatement("SELECT name FROM jd WHERE id = ?");
        for (int n = 0; n < 50; n++) {
            select.setInt(1, n % 10);
            asked(null, () -> read(select), selected("SELECT jd", 1));
        }
        insert.setInt(1, 1);
        insert.setString(2, "secret");
        asked("23505", insert::executeUpdate, call("INSERT jd", null, null, "23505", null, false));
        asked("42P01", () -> plain.executeQuery("SELECT * FROM nowhere"), call("SELECT nowhere", null, null, "42P01", null, false));
        asked(null, () -> plain.executeQuery("SELECT * FROM jd WHERE name <> 'secret1'").close(), selected("SELECT jd", 9));
        PreparedStatement large = connection.prepareStatement("SELECT repeat('x', 1000) FROM generate_series(1, ?)");
        large.setInt(1, 100000);
        asked(null, () -> {
            if (read(large) != 100000) throw new IllegalStateException("rows");
        }, call("SELECT generate_series", 100000, null, null, null, true));
        connection.setAutoCommit(false);
        PreparedStatement steps = connection.prepareStatement("SELECT id FROM jd ORDER BY id");
        steps.setFetchSize(4);
        asked(null, () -> read(steps), done("BEGIN"), selected("SELECT jd", 4), selected("SELECT jd", 4), selected("SELECT jd", 2));
        asked(null, connection::rollback, done("ROLLBACK"));
        connection.close();
        log.close();
    }
}

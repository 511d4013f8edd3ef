// A service on Reactor Netty, as WebFlux has it: several event loops, and connections to others that belong to
// one loop and are used by all. Usage: java Loops PORT; DOWN is the base URL of another service.
import java.time.Duration;
import reactor.core.publisher.Mono;
import reactor.netty.http.client.HttpClient;
import reactor.netty.http.server.HttpServer;
import reactor.netty.resources.ConnectionProvider;

public class Loops {
    static final HttpClient CLIENT = HttpClient.create(ConnectionProvider.builder("down").maxConnections(8)
        .pendingAcquireMaxCount(-1).build()).baseUrl(System.getenv("DOWN"));

    /** The id of another request, if ids are permuted: the last digit is one higher. */
    static String others(String call) {
        if (System.getenv("PERMUTED") == null) {
            return call;
        }
        int last = call.length() - 1;
        return call.substring(0, last) + (call.charAt(last) - '0' + 1) % 10;
    }

    static Mono<String> ask(String call, String n) {
        return CLIENT.get().uri("/bytes/10?call=" + others(call) + "." + n).responseContent().aggregate().asString();
    }

    public static void main(String[] args) {
        HttpServer.create().host("127.0.0.1").port(Integer.parseInt(args[0])).handle((request, response) -> {
            String call = request.uri().split("call=")[1];
            Mono<Long> rest = Mono.delay(Duration.ofMillis(Math.floorMod(call.hashCode(), 8)));
            Mono<String> work = call.contains(".quick.")
                ? ask(call, "one").then(ask(call, "two")).then(ask(call, "three"))
                : ask(call, "one").then(rest).then(ask(call, "two")).then(ask(call, "three"));
            return response.sendString(work.thenReturn("{}"));
        }).bindNow().onDispose().block();
    }
}

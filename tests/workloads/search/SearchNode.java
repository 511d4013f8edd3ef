import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/** OpenSearch, one node of it: SearchNode PORT TRANSPORT_PORT DIRECTORY. Ends when it is told to. */
public class SearchNode extends Node {
    SearchNode(Environment environment) {
        super(environment, List.of(Netty4Plugin.class), false);
    }

    public static void main(String[] arguments) throws Exception {
        Settings settings = Settings.builder()
            .put("http.port", arguments[0])
            .put("transport.port", arguments[1])
            .put("path.home", arguments[2])
            .put("network.host", "127.0.0.1")
            .put("http.type", "netty4")
            .put("transport.type", "netty4")
            .put("discovery.type", "single-node")
            .put("cluster.name", "suite")
            .put("node.name", "one")
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build();
        Node node = new SearchNode(
            InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "one"));
        node.start();
        Thread.currentThread().join();
    }
}

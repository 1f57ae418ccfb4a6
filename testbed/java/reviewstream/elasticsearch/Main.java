package reviewstream.elasticsearch;

import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/**
 * Starts one Elasticsearch node from plain jars; Elasticsearch's own main class needs the whole distribution.
 *
 * <p>Arguments: the home (read only; its modules are loaded) and the folder of elasticsearch.yml.
 */
public final class Main {
    private static final int STOP_SECONDS = 10;

    public static void main(String[] args) throws Exception {
        Path home = Path.of(args[0]);
        LogConfigurator.configureESLogging();
        Settings settings = Settings.builder().put("path.home", home.toString()).build();
        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), Path.of(args[1]), () -> "testbed");
        LogConfigurator.setClusterName("testbed");
        LogConfigurator.setNodeName("testbed");
        LogConfigurator.configureWithoutConfig(settings);
        Node node = new Node(environment, plugins(environment));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node)));
        node.start();
        Thread.currentThread().join();
    }

    private static PluginsLoader plugins(Environment environment) throws Exception {
        var modules = PluginsLoader.loadModulesBundles(environment.modulesDir(), false);
        var plugins = PluginsLoader.loadPluginsBundles(environment.pluginsDir(), false);
        return PluginsLoader.createPluginsLoader(modules, plugins, Map.of(), false);
    }

    private static void close(Node node) {
        try {
            node.close();
            node.awaitClose(STOP_SECONDS, TimeUnit.SECONDS);
        } catch (Exception e) {
            e.printStackTrace();
        }
    }
}

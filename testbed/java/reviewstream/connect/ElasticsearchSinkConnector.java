package reviewstream.connect;

import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.sink.SinkConnector;

/** Writes records to Elasticsearch; has the settings of Confluent's connector of the same name. */
public final class ElasticsearchSinkConnector extends SinkConnector {
    static final String VERSION = "1";
    private Map<String, String> given;

    @Override
    public void start(Map<String, String> props) {
        given = props;
        new SinkConfig(props);
    }

    @Override
    public Class<? extends Task> taskClass() {
        return ElasticsearchSinkTask.class;
    }

    @Override
    public List<Map<String, String>> taskConfigs(int maxTasks) {
        return Collections.nCopies(maxTasks, given);
    }

    @Override
    public void stop() {
        // The connector itself has nothing to stop.
    }

    @Override
    public ConfigDef config() {
        return SinkConfig.DEFINITION;
    }

    @Override
    public String version() {
        return VERSION;
    }
}

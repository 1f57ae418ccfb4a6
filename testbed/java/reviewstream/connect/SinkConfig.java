package reviewstream.connect;

import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.kafka.common.config.AbstractConfig;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigDef.Importance;
import org.apache.kafka.common.config.ConfigDef.Range;
import org.apache.kafka.common.config.ConfigDef.Type;
import org.apache.kafka.common.config.ConfigDef.ValidString;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.common.config.types.Password;

/** Settings with the names, values and defaults of Confluent's Elasticsearch sink. Its other settings are ignored. */
final class SinkConfig extends AbstractConfig {
    static final ConfigDef DEFINITION = new ConfigDef()
        .define("connection.url", Type.LIST, Importance.HIGH, "base URLs; the first is used")
        .define("connection.username", Type.STRING, null, Importance.MEDIUM, "basic authentication")
        .define("connection.password", Type.PASSWORD, null, Importance.MEDIUM, "basic authentication")
        .define("connection.timeout.ms", Type.INT, 1000, Range.atLeast(0), Importance.LOW, "of a connection")
        .define("read.timeout.ms", Type.INT, 3000, Range.atLeast(1), Importance.LOW, "of one bulk request")
        .define("batch.size", Type.INT, 2000, Range.between(1, 1000000), Importance.MEDIUM, "documents in one bulk")
        .define("max.retries", Type.INT, 5, Range.atLeast(0), Importance.LOW, "of a failed bulk or item")
        .define("retry.backoff.ms", Type.LONG, 100L, Range.atLeast(0), Importance.LOW, "first wait; it doubles")
        .define("key.ignore", Type.BOOLEAN, false, Importance.HIGH, "id = topic+partition+offset, no version")
        .define("schema.ignore", Type.BOOLEAN, false, Importance.LOW, "accepted; the mapping is never written")
        .define("drop.invalid.message", Type.BOOLEAN, false, Importance.LOW, "go on after an unconvertible record")
        .define("behavior.on.null.values", Type.STRING, "FAIL", oneOf("IGNORE", "DELETE", "FAIL"), Importance.LOW, "")
        .define("behavior.on.malformed.documents", Type.STRING, "FAIL", oneOf("IGNORE", "WARN", "FAIL"),
            Importance.LOW, "after a document that Elasticsearch refused")
        .define("external.version.header", Type.STRING, "", Importance.LOW, "header with the document's version")
        .define("write.method", Type.STRING, "INSERT", oneOf("INSERT"), Importance.LOW, "UPSERT is not supported")
        .define("external.resource.usage", Type.STRING, "DISABLED", oneOf("INDEX", "ALIAS_INDEX", "DISABLED"),
            Importance.LOW, "DISABLED: the index is named like the topic, and created")
        .define("topic.to.external.resource.mapping", Type.LIST, List.of(), Importance.LOW, "topic:index, ...");

    private final Map<String, String> resources = new HashMap<>();

    SinkConfig(Map<String, String> given) {
        super(DEFINITION, given);
        for (String pair : getList("topic.to.external.resource.mapping")) {
            String[] parts = pair.split(":", 2);
            if (parts.length != 2) {
                throw new ConfigException("topic.to.external.resource.mapping", pair, "expected topic:resource");
            }
            resources.put(parts[0].strip(), parts[1].strip());
        }
    }

    private static ConfigDef.Validator oneOf(String... values) {
        return ConfigDef.LambdaValidator.with(
            (name, value) -> ValidString.in(values).ensureValid(name, ((String) value).toUpperCase(Locale.ROOT)),
            () -> String.join(", ", values));
    }

    String choice(String name) {
        return getString(name).toUpperCase(Locale.ROOT);
    }

    boolean createsIndex() {
        return choice("external.resource.usage").equals("DISABLED");
    }

    String url() {
        return getList("connection.url").get(0).replaceAll("/+$", "");
    }

    /** Returns "user:password", or null when no user is set. */
    String credentials() {
        Password password = getPassword("connection.password");
        String user = getString("connection.username");
        return user == null ? null : user + ":" + (password == null ? "" : password.value());
    }

    String indexOf(String topic) {
        if (createsIndex()) {
            return topic.toLowerCase(Locale.ROOT).replaceFirst("^[-_]", "");
        }
        String resource = resources.get(topic);
        if (resource == null) {
            throw new ConfigException("topic.to.external.resource.mapping", resources, "topic " + topic + " is missing");
        }
        return resource;
    }
}

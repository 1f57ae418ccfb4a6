package reviewstream.connect;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.sink.SinkRecord;

/** Converts records to the lines of a bulk request. */
final class Operations {
    /** The lines of one record. */
    record Operation(SinkRecord record, boolean deletes, String lines) {}

    private final ObjectMapper mapper = new ObjectMapper();
    private final JsonConverter json = new JsonConverter();
    private final SinkConfig config;

    Operations(SinkConfig config) {
        this.config = config;
        json.configure(Map.of("schemas.enable", "false", "decimal.format", "NUMERIC"), false);
    }

    /** Returns null for a record to skip; throws DataException for one that cannot be written. */
    Operation of(SinkRecord record) {
        boolean isNull = record.value() == null;
        if (isNull && skipsNull(record)) {
            return null;
        }
        ObjectNode target = mapper.createObjectNode().put("_index", config.indexOf(record.topic()));
        if (config.getBoolean("key.ignore")) {
            target.put("_id", record.topic() + "+" + record.kafkaPartition() + "+" + record.kafkaOffset());
        } else {
            target.put("_id", id(record)).put("version", version(record)).put("version_type", "external_gte");
        }
        String action = mapper.createObjectNode().<ObjectNode>set(isNull ? "delete" : "index", target) + "\n";
        return new Operation(record, isNull, isNull ? action : action + document(record) + "\n");
    }

    private boolean skipsNull(SinkRecord record) {
        return switch (config.choice("behavior.on.null.values")) {
            case "IGNORE" -> true;
            case "DELETE" -> record.key() == null;
            default -> throw new DataException("null value; see behavior.on.null.values");
        };
    }

    private static String id(SinkRecord record) {
        Object key = record.key();
        if (key instanceof String || key instanceof Number) {
            String id = key.toString();
            if (!id.isEmpty()) {
                return id;
            }
        }
        throw new DataException("the key is the document's id: a string or a number, not " + key);
    }

    private long version(SinkRecord record) {
        String name = config.getString("external.version.header");
        if (name.isEmpty()) {
            return record.kafkaOffset();
        }
        Header header = record.headers().lastWithName(name);
        String text = header == null || header.value() == null ? "" : header.value().toString();
        try {
            return Long.parseLong(text);
        } catch (NumberFormatException e) {
            throw new DataException("header " + name + " is not a version: '" + text + "'", e);
        }
    }

    private String document(SinkRecord record) {
        byte[] bytes = json.fromConnectData(record.topic(), record.valueSchema(), record.value());
        return new String(bytes, StandardCharsets.UTF_8);
    }
}

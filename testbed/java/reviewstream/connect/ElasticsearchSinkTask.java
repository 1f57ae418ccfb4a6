package reviewstream.connect;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.errors.RetriableException;
import org.apache.kafka.connect.sink.ErrantRecordReporter;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTask;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import reviewstream.connect.Operations.Operation;

/**
 * Writes all records before {@code put} returns, so that Connect commits only what Elasticsearch has.
 *
 * <p>Depending on an item's status, 429 and 5xx are retried, 409 (an older version) is skipped, and any other
 * error goes to the dead letter queue.
 */
public final class ElasticsearchSinkTask extends SinkTask {
    private static final Logger log = LoggerFactory.getLogger(ElasticsearchSinkTask.class);
    private static final long LONGEST_BACKOFF_MS = 30_000;
    /** Error types caused by the document, as in Confluent's connector; any other error stops the task. */
    private static final Set<String> MALFORMED = Set.of(
        "strict_dynamic_mapping_exception", "mapper_parsing_exception", "illegal_argument_exception",
        "action_request_validation_exception", "document_parsing_exception");

    private final Set<String> indices = new HashSet<>();
    private SinkConfig config;
    private Operations operations;
    private BulkClient client;
    private ErrantRecordReporter reporter;

    @Override
    public String version() {
        return ElasticsearchSinkConnector.VERSION;
    }

    @Override
    public void start(Map<String, String> props) {
        config = new SinkConfig(props);
        operations = new Operations(config);
        client = new BulkClient(config);
        reporter = context.errantRecordReporter();
    }

    @Override
    public void stop() {
        // The HTTP client has nothing to close.
    }

    @Override
    public void put(Collection<SinkRecord> records) {
        List<Operation> batch = new ArrayList<>();
        for (SinkRecord record : records) {
            Operation operation = convert(record);
            if (operation != null) {
                batch.add(operation);
            }
            if (batch.size() >= config.getInt("batch.size")) {
                write(batch);
                batch = new ArrayList<>();
            }
        }
        write(batch);
    }

    private Operation convert(SinkRecord record) {
        try {
            return operations.of(record);
        } catch (DataException e) {
            report(record, e);
            if (!config.getBoolean("drop.invalid.message")) {
                throw e;
            }
            return null;
        }
    }

    private void write(List<Operation> batch) {
        List<Operation> left = batch;
        long wait = config.getLong("retry.backoff.ms");
        for (int attempt = 0; !left.isEmpty(); attempt++) {
            try {
                left = writeOnce(left);
            } catch (RetriableException e) {
                log.warn("attempt {} for {} documents failed: {}", attempt + 1, left.size(), e.getMessage());
            }
            if (!left.isEmpty()) {
                pause(attempt, wait);
                wait = Math.min(wait * 2, LONGEST_BACKOFF_MS);
            }
        }
    }

    /** Waits before the next attempt; after the last one returns the batch to Connect, which delivers it again. */
    private void pause(int attempt, long wait) {
        if (attempt >= config.getInt("max.retries")) {
            context.timeout(wait);
            throw new RetriableException("Elasticsearch is away after " + (attempt + 1) + " attempts");
        }
        try {
            Thread.sleep((long) (wait * (0.5 + Math.random() / 2)));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new RetriableException(e);
        }
    }

    /** Returns the operations to retry. */
    private List<Operation> writeOnce(List<Operation> batch) {
        if (config.createsIndex()) {
            batch.forEach(operation -> ensureIndex(config.indexOf(operation.record().topic())));
        }
        JsonNode items = client.bulk(batch).path("items");
        List<Operation> again = new ArrayList<>();
        for (int i = 0; i < batch.size(); i++) {
            JsonNode result = items.path(i).elements().next();
            if (isTransient(result.path("status").asInt())) {
                again.add(batch.get(i));
            } else {
                settle(batch.get(i), result);
            }
        }
        return again;
    }

    private void ensureIndex(String index) {
        if (!indices.contains(index)) {
            client.createIndex(index);
            indices.add(index);
        }
    }

    static boolean isTransient(int status) {
        return status == 429 || status >= 500;
    }

    private void settle(Operation operation, JsonNode result) {
        int status = result.path("status").asInt();
        boolean done = status < 300 || status == 409 || status == 404 && operation.deletes() && !result.has("error");
        if (done) {
            return;
        }
        String type = result.path("error").path("type").asText();
        DataException refusal = new DataException(
            "status " + status + ": " + type + ": " + result.path("error").path("reason").asText());
        report(operation.record(), refusal);
        boolean goesOn = MALFORMED.contains(type) && !config.choice("behavior.on.malformed.documents").equals("FAIL");
        if (!goesOn) {
            throw new ConnectException("document refused; see the dead letter queue", refusal);
        }
    }

    private void report(SinkRecord record, DataException error) {
        log.warn("{}-{}@{}: {}", record.topic(), record.kafkaPartition(), record.kafkaOffset(), error.getMessage());
        if (reporter != null) {
            reporter.report(record, error);
        }
    }
}

package reviewstream.connect;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.errors.RetriableException;
import reviewstream.connect.Operations.Operation;

/** Client for Elasticsearch's bulk API; throws RetriableException for transient errors. */
final class BulkClient {
    private final ObjectMapper mapper = new ObjectMapper();
    private final SinkConfig config;
    private final HttpClient http;

    BulkClient(SinkConfig config) {
        this.config = config;
        http = HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(Duration.ofMillis(Math.max(1, config.getInt("connection.timeout.ms"))))
            .build();
    }

    JsonNode bulk(List<Operation> operations) {
        StringBuilder lines = new StringBuilder();
        operations.forEach(operation -> lines.append(operation.lines()));
        HttpResponse<String> answer = send("POST", "/_bulk", BodyPublishers.ofString(lines.toString()));
        if (answer.statusCode() != 200) {
            throw new ConnectException("bulk answered " + answer.statusCode() + ": " + answer.body());
        }
        try {
            return mapper.readTree(answer.body());
        } catch (IOException e) {
            throw new RetriableException("bulk answered no JSON", e);
        }
    }

    void createIndex(String index) {
        if (send("HEAD", "/" + index, BodyPublishers.noBody()).statusCode() == 200) {
            return;
        }
        HttpResponse<String> answer = send("PUT", "/" + index, BodyPublishers.noBody());
        boolean exists = answer.statusCode() == 200 || answer.body().contains("resource_already_exists_exception");
        if (!exists) {
            throw new ConnectException("index " + index + ": " + answer.statusCode() + ": " + answer.body());
        }
    }

    private HttpResponse<String> send(String method, String path, BodyPublisher body) {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(config.url() + path))
            .timeout(Duration.ofMillis(config.getInt("read.timeout.ms")))
            .header("content-type", "application/x-ndjson")
            .method(method, body);
        if (config.credentials() != null) {
            byte[] credentials = config.credentials().getBytes(StandardCharsets.UTF_8);
            request.header("authorization", "Basic " + Base64.getEncoder().encodeToString(credentials));
        }
        try {
            HttpResponse<String> answer = http.send(request.build(), BodyHandlers.ofString());
            if (ElasticsearchSinkTask.isTransient(answer.statusCode())) {
                throw new RetriableException(method + " " + path + " answered " + answer.statusCode());
            }
            return answer;
        } catch (IOException e) {
            throw new RetriableException(method + " " + path + ": " + e, e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new RetriableException(e);
        }
    }
}

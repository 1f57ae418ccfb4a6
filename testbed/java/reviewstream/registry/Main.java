package reviewstream.registry;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.quarkus.bootstrap.runner.QuarkusEntryPoint;
import java.io.IOException;
import java.net.ConnectException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.HttpTimeoutException;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.Executors;

/**
 * Starts Apicurio on a separate loopback port, behind a proxy.
 *
 * <p>Apicurio 3.3.3 leaves one in several thousand requests for a path that it lacks unanswered.
 * Confluent's clients request `/associations` and would wait for ever, so read requests are retried.
 * The proxy also serves Apicurio's version of Confluent's API at the root, like Confluent's registry.
 * Apicurio's own paths are unchanged.
 *
 * <p>Arguments: the address and the port to listen at, and Apicurio's port.
 */
public final class Main {
    private static final String CONFLUENT_API = "/apis/ccompat/v7";
    private static final Set<String> READS = Set.of("GET", "HEAD");
    private static final int TRIES = 5;
    private static final int PATIENCE = 2; // seconds for the first attempt; later attempts get more
    /** Headers of a single connection, which are not forwarded. */
    private static final Set<String> HOP = Set.of(
        "connection", "content-length", "date", "expect", "host", "keep-alive", "transfer-encoding", "upgrade");
    private static final HttpClient CLIENT =
        HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    private final String inner;

    private Main(int port) {
        inner = "http://127.0.0.1:" + port;
    }

    public static void main(String... args) throws Throwable {
        System.setProperty("sun.net.httpserver.nodelay", "true");
        System.setProperty("quarkus.http.host", "127.0.0.1");
        System.setProperty("quarkus.http.port", args[2]);
        HttpServer server = HttpServer.create(new InetSocketAddress(args[0], Integer.parseInt(args[1])), 0);
        server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
        server.createContext("/", new Main(Integer.parseInt(args[2]))::answer);
        server.start();
        try {
            QuarkusEntryPoint.main(); // returns when Apicurio exits
        } finally {
            server.stop(0);
        }
    }

    private void answer(HttpExchange exchange) throws IOException {
        try (exchange) {
            HttpResponse<byte[]> answer = ask(exchange, exchange.getRequestBody().readAllBytes());
            answer.headers().map().forEach((name, values) -> {
                if (!HOP.contains(name.toLowerCase())) {
                    exchange.getResponseHeaders().put(name, values);
                }
            });
            byte[] body = answer.body();
            exchange.sendResponseHeaders(answer.statusCode(), body.length == 0 ? -1 : body.length);
            if (body.length > 0) {
                exchange.getResponseBody().write(body);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (ConnectException e) {
            exchange.sendResponseHeaders(503, -1); // Apicurio is not up yet
        } catch (HttpTimeoutException e) {
            exchange.sendResponseHeaders(504, -1);
        }
    }

    private HttpResponse<byte[]> ask(HttpExchange exchange, byte[] body) throws IOException, InterruptedException {
        HttpRequest.Builder request = request(exchange, body);
        if (READS.contains(exchange.getRequestMethod())) {
            for (int asked = 1; asked < TRIES; asked++) {
                try {
                    return CLIENT.send(request.timeout(Duration.ofSeconds(PATIENCE * asked)).build(), BodyHandlers.ofByteArray());
                } catch (HttpTimeoutException e) {
                    System.err.println("not answered, asked again: " + exchange.getRequestURI());
                }
            }
            request.timeout(Duration.ofSeconds(PATIENCE * TRIES));
        }
        return CLIENT.send(request.build(), BodyHandlers.ofByteArray());
    }

    private HttpRequest.Builder request(HttpExchange exchange, byte[] body) {
        URI asked = exchange.getRequestURI();
        String path = asked.getRawPath();
        String query = asked.getRawQuery() == null ? "" : "?" + asked.getRawQuery();
        String prefix = path.startsWith("/apis/") ? "" : CONFLUENT_API;
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(inner + prefix + path + query))
            .method(exchange.getRequestMethod(), body.length == 0 ? BodyPublishers.noBody() : BodyPublishers.ofByteArray(body));
        exchange.getRequestHeaders().forEach((name, values) -> {
            if (!HOP.contains(name.toLowerCase())) {
                values.forEach(value -> request.header(name, value));
            }
        });
        return request;
    }
}

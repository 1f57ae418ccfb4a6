package reviewstream.registry;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.quarkus.bootstrap.runner.QuarkusEntryPoint;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.Set;
import java.util.concurrent.Executors;

/**
 * Starts Apicurio on loopback, and puts its edition of Confluent's API at the root of a port, where
 * Confluent's registry has it. Apicurio's own API keeps its path.
 *
 * <p>Argument: the port.
 */
public final class Main {
    private static final String CONFLUENT_API = "/apis/ccompat/v7";
    private static final int INNER_PORT = 18081;
    /** What belongs to one connection; the client and the server write their own. */
    private static final Set<String> HOP = Set.of(
        "connection", "content-length", "date", "expect", "host", "keep-alive", "transfer-encoding", "upgrade");
    private static final HttpClient CLIENT =
        HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    public static void main(String... args) throws Throwable {
        HttpServer server = HttpServer.create(new InetSocketAddress(Integer.parseInt(args[0])), 0);
        server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
        server.createContext("/", Main::answer);
        server.start();
        System.setProperty("quarkus.http.host", "127.0.0.1");
        System.setProperty("quarkus.http.port", String.valueOf(INNER_PORT));
        QuarkusEntryPoint.main();
    }

    private static void answer(HttpExchange exchange) throws IOException {
        try (exchange) {
            HttpResponse<byte[]> answer = CLIENT.send(inner(exchange), BodyHandlers.ofByteArray());
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
        } catch (java.net.ConnectException e) {
            exchange.sendResponseHeaders(503, -1); // Apicurio is not up yet
        }
    }

    private static HttpRequest inner(HttpExchange exchange) throws IOException {
        URI asked = exchange.getRequestURI();
        String path = asked.getRawPath();
        String query = asked.getRawQuery() == null ? "" : "?" + asked.getRawQuery();
        String prefix = path.startsWith("/apis/") ? "" : CONFLUENT_API;
        URI target = URI.create("http://127.0.0.1:" + INNER_PORT + prefix + path + query);
        byte[] body = exchange.getRequestBody().readAllBytes();
        HttpRequest.Builder request = HttpRequest.newBuilder(target)
            .method(exchange.getRequestMethod(), body.length == 0 ? BodyPublishers.noBody() : BodyPublishers.ofByteArray(body));
        exchange.getRequestHeaders().forEach((name, values) -> {
            if (!HOP.contains(name.toLowerCase())) {
                values.forEach(value -> request.header(name, value));
            }
        });
        return request.build();
    }
}

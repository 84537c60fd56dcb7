// SPDX-License-Identifier: GPL-2.0-or-later
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.AbstractExecutorService;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/*
 * A target of tools/accuracy: the JDK's HttpServer over a pool of 16 workers. JavaApp PORT blocking|client|threads
 *
 * blocking: calls by HttpURLConnection, and by plain sockets out of a pool of 10. client: by java.net.http.HttpClient, whose own
 * threads read the answers. threads: as blocking, but what is done aside has a thread of its own, not a pool's.
 */
public class JavaApp {
	interface Operation {
		void run(String key) throws Exception;
	}

	static final int BACKEND = Integer.parseInt(System.getenv("BACKEND_PORT"));
	static final HttpClient CLIENT = HttpClient.newHttpClient();
	static final ArrayBlockingQueue<Socket> SOCKETS = new ArrayBlockingQueue<>(10);
	static ExecutorService side = Executors.newCachedThreadPool();
	static List<Operation> operations;

	static void byUrl(String key) throws Exception {
		try (InputStream in = new URL("http://127.0.0.1:" + BACKEND + "/b/" + key).openStream()) {
			in.readAllBytes();
		}
	}

	static void byClient(String key) throws Exception {
		CLIENT.send(HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + BACKEND + "/b/" + key))
				.version(HttpClient.Version.HTTP_1_1).build(), HttpResponse.BodyHandlers.ofString());
	}

	static void bySocket(String key) throws Exception {
		Socket s = SOCKETS.take();
		byte[] buffer = new byte[1024];
		String text = "";

		s.getOutputStream().write(("GET /b/" + key + " HTTP/1.1\r\nHost: backend\r\n\r\n").getBytes());
		while (!text.endsWith("/b/" + key + "\n")) {
			int n = s.getInputStream().read(buffer);
			if (n < 0)
				throw new Exception("the backend is gone");
			text += new String(buffer, 0, n);
		}
		SOCKETS.put(s);
	}

	static void call(int which, String name, String tag) throws Exception {
		operations.get(which % operations.size()).run(name + "-" + tag);
	}

	static Future<?> aside(int which, String name, String tag, int delay) {
		return side.submit(() -> {
			Thread.sleep(delay);
			call(which, name, tag);
			return null;
		});
	}

	static void work(String route, String name) throws Exception {
		int n = Integer.parseInt(name.substring(2));

		switch (route) {
		case "one": call(n, name, "1"); break;
		case "seq":
			for (int i = 0; i <= n % 4; i++)
				call(i, name, "" + (i + 1));
			break;
		case "par": {
			List<Future<?>> all = new ArrayList<>();
			for (int i = 0; i <= n % 4; i++)
				all.add(aside(i, name, "" + (i + 1), 0));
			for (Future<?> f : all)
				f.get();
			break;
		}
		case "think":
			Thread.sleep(3);
			call(n, name, "1");
			Thread.sleep(2);
			call(n + 1, name, "2");
			break;
		case "hop": aside(n, name, "1", 0).get(); break;
		case "sleep": Thread.sleep(5); break;
		case "after": aside(n, name, "after", 5); break;
		default:
		}
	}

	static void handle(HttpExchange e) {
		String[] path = e.getRequestURI().getPath().split("/");
		try (e) {
			work(path[1], path[2]);
			e.sendResponseHeaders(200, 3);
			e.getResponseBody().write("ok\n".getBytes());
		} catch (Exception x) {
			x.printStackTrace();
		}
	}

	static void nobody() {
		for (int i = 0;; i++)
			try {
				Thread.sleep(20);
				call(i, "bg", "" + i);
			} catch (Exception x) {
				x.printStackTrace();
			}
	}

	public static void main(String[] argv) throws Exception {
		boolean client = argv[1].equals("client");
		operations = client ? List.of(JavaApp::byClient) : List.of(JavaApp::byUrl, JavaApp::bySocket);
		for (int i = 0; i < 10 && !client; i++) {
			Socket s = new Socket("127.0.0.1", BACKEND);
			s.setTcpNoDelay(true);
			SOCKETS.put(s);
		}
		if (argv[1].equals("threads"))
			side = new AbstractExecutorService() {
				public void execute(Runnable work) {
					new Thread(work).start();
				}
				public boolean awaitTermination(long time, TimeUnit unit) {
					return true;
				}
				public boolean isShutdown() {
					return false;
				}
				public boolean isTerminated() {
					return false;
				}
				public void shutdown() {
				}
				public List<Runnable> shutdownNow() {
					return List.of();
				}
			};
		HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(argv[0])), 256);
		server.setExecutor(Executors.newFixedThreadPool(16));
		server.createContext("/", JavaApp::handle);
		new Thread(JavaApp::nobody).start();
		server.start();
	}
}

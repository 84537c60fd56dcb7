// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Load for tools/accuracy: one thread a connection, one request after the other.
 *
 *   load PORT CONNECTIONS REQUESTS FIRST-ID OUT ROUTE...
 *
 * Asks for /ROUTE/idN, the route by chance, N counting up. REQUESTS 0: until a line "K" on stdin,
 * then K more. Every second connection serves one request only. A line "done" on stdout after each
 * 50 requests; at the end a line per request in OUT: id, route, status (0: no answer), local port,
 * begin and end in ns since 1970. Exit status 1 if an answer was not 200.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct record {
	long id;
	const char *route;
	int status, port;
	long long begin, end;
};

struct worker {
	pthread_t thread;
	int number;
	struct record *records;
	size_t n, room;
};

static int port;
static char **routes;
static int n_routes;
static atomic_long next_id, left, done, failed;

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static int connect_to_target(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_port = htons((uint16_t)port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = 30 };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* The length of the body; -1: until the connection ends; -2: chunked. */
static long body_length(const char *head)
{
	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
		if (strncasecmp(line + 2, "content-length:", 15) == 0)
			return strtol(line + 17, NULL, 10);
		if (strncasecmp(line + 2, "transfer-encoding:", 18) == 0)
			return -2;
	}
	return -1;
}

/* The status of the answer; 0: none. *again: the connection can serve another request. */
static int read_answer(int fd, bool *again)
{
	char buf[16384];
	size_t n = 0;
	char *head_end = NULL;
	ssize_t got;

	*again = false;
	while (!head_end) {
		if (n == sizeof(buf) - 1 || (got = recv(fd, buf + n, sizeof(buf) - 1 - n, 0)) <= 0)
			return 0;
		n += (size_t)got;
		buf[n] = '\0';
		head_end = strstr(buf, "\r\n\r\n");
	}
	int status = atoi(buf + 9);
	size_t head = (size_t)(head_end + 4 - buf);
	long length = body_length(buf);

	/* What targets say is short: all of it fits. */
	while (length == -2 ? !strstr(buf + head - 2, "\r\n0\r\n\r\n") &&
				      !strstr(buf + head, "0\r\n\r\n")
			    : length == -1 || n < head + (size_t)length) {
		if (n == sizeof(buf) - 1)
			return 0;
		got = recv(fd, buf + n, sizeof(buf) - 1 - n, 0);
		if (got <= 0)
			return length == -1 && got == 0 ? status : 0;
		n += (size_t)got;
		buf[n] = '\0';
	}
	*again = strncmp(buf, "HTTP/1.0", 8) != 0 && !strcasestr(buf, "\r\nconnection: close");
	return status;
}

static void one_request(struct worker *w, int *fd, unsigned *seed)
{
	bool once = w->number % 2, again = false;
	char text[256];

	if (w->n == w->room) {
		w->room = w->room ? 2 * w->room : 256;
		w->records = realloc(w->records, w->room * sizeof(*w->records));
		if (!w->records)
			abort();
	}
	struct record *r = &w->records[w->n++];

	*r = (struct record){ .id = atomic_fetch_add(&next_id, 1),
			      .route = routes[rand_r(seed) % n_routes] };
	int n = snprintf(text, sizeof(text), "GET /%s/id%ld HTTP/1.1\r\nHost: target\r\n%s\r\n",
			 r->route, r->id, once ? "Connection: close\r\n" : "");

	r->begin = now_ns();
	if (*fd < 0)
		*fd = connect_to_target();
	if (*fd >= 0) {
		struct sockaddr_in sin;
		socklen_t len = sizeof(sin);

		if (getsockname(*fd, (struct sockaddr *)&sin, &len) == 0)
			r->port = ntohs(sin.sin_port);
		if (send(*fd, text, (size_t)n, MSG_NOSIGNAL) == n)
			r->status = read_answer(*fd, &again);
	}
	r->end = now_ns();
	if (*fd >= 0 && (once || !again)) {
		close(*fd);
		*fd = -1;
	}
	if (r->status != 200)
		atomic_fetch_add(&failed, 1);
	if (atomic_fetch_add(&done, 1) % 50 == 49) {
		puts("done");
		fflush(stdout);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	unsigned seed = (unsigned)(w->number * 7919 + next_id);
	int fd = -1;

	while (atomic_fetch_sub(&left, 1) > 0)
		one_request(w, &fd, &seed);
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void *listen_to_stdin(void *arg)
{
	char line[32];

	(void)arg;
	atomic_store(&left, fgets(line, sizeof(line), stdin) ? atol(line) : 0);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t listener;

	if (argc < 7)
		return 2;
	port = atoi(argv[1]);
	int n = atoi(argv[2]);

	left = atol(argv[3]) ? atol(argv[3]) : 1L << 40;
	next_id = atol(argv[4]);
	routes = argv + 6;
	n_routes = argc - 6;
	struct worker *workers = calloc((size_t)n, sizeof(*workers));
	FILE *out = fopen(argv[5], "w");

	if (!workers || !out ||
	    (!atol(argv[3]) && pthread_create(&listener, NULL, listen_to_stdin, NULL)))
		return 2;
	for (int i = 0; i < n; i++) {
		workers[i].number = i;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return 2;
	}
	for (int i = 0; i < n; i++) {
		pthread_join(workers[i].thread, NULL);
		for (size_t k = 0; k < workers[i].n; k++) {
			const struct record *r = &workers[i].records[k];

			fprintf(out, "%ld %s %d %d %lld %lld\n", r->id, r->route, r->status,
				r->port, r->begin, r->end);
		}
	}
	return fclose(out) || failed ? 1 : 0;
}

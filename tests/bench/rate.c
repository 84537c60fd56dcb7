// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A load at a fixed rate: rate PORT CONNECTIONS RATE SECONDS http|http-close|redis|memcached PATH-OR-KEY
 *
 * The k-th request is due k/RATE seconds after the start, whatever became of the others, and its latency counts from then: a
 * server that stalls is not spared what it would have been asked meanwhile. RATE 0: as fast as the connections allow, one
 * request each at a time. http-close: a connection for each request. One thread. It prints one line at the end:
 *
 *   requests=N failed=N unsent=N seconds=S p50_us=N p99_us=N max_us=N
 *
 * unsent: due before the end, but no connection was free. Exit status 1 if a request failed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define LAST_ANSWER (10 * SECOND) /* what is still open so long after the end has failed */

struct conn {
	int fd; /* -1: none */
	bool busy;
	int64_t due;
	size_t got;
	char answer[4096];
};

struct kind {
	const char *name;
	const char *request; /* its argument is PATH-OR-KEY */
	bool (*complete)(const struct conn *c);
	bool close;
};

static struct sockaddr_in server = { .sin_family = AF_INET };
static const struct kind *kind;
static char request[512];
static size_t request_len;
static struct conn *conns, **idle; /* idle: a queue, so that all connections take turns */
static size_t first_idle, n_idle, n_conns;
static uint32_t *latencies; /* us */
static size_t n_latencies, room;
static uint64_t failed;
static int epoll_fd;

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * SECOND + ts.tv_nsec;
}

static bool ends_with(const struct conn *c, const char *tail)
{
	size_t n = strlen(tail);

	return c->got >= n && !memcmp(c->answer + c->got - n, tail, n);
}

static bool http_complete(const struct conn *c)
{
	const char *body = strstr(c->answer, "\r\n\r\n");
	const char *length = strcasestr(c->answer, "\r\ncontent-length:");

	return body && length && length < body &&
	       c->got >= (size_t)(body + 4 - c->answer) + strtoul(length + 17, NULL, 10);
}

static bool line_complete(const struct conn *c)
{
	return ends_with(c, "\r\n");
}

static bool end_complete(const struct conn *c)
{
	return ends_with(c, "END\r\n");
}

#define GET "GET %s HTTP/1.1\r\nHost: target\r\n"

static const struct kind kinds[] = {
	{ "http", GET "\r\n", http_complete, false },
	{ "http-close", GET "Connection: close\r\n\r\n", http_complete, true },
	{ "redis", "GET %s\r\n", line_complete, false },
	{ "memcached", "get %s\r\n", end_complete, false },
};

static bool usable(const struct conn *c)
{
	return kind->complete != http_complete || !strncmp(c->answer, "HTTP/1.1 200", 12);
}

static bool open_conn(struct conn *c)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return false;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return connect(c->fd, (struct sockaddr *)&server, sizeof(server)) == 0 &&
	       epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &ev) == 0;
}

static void end_request(struct conn *c, bool ok)
{
	if (ok) {
		if (n_latencies == room) {
			room = room ? 2 * room : 65536;
			latencies = realloc(latencies, room * sizeof(*latencies));
			if (!latencies)
				abort();
		}
		latencies[n_latencies++] = (uint32_t)((now_ns() - c->due) / 1000);
	} else {
		failed++;
	}
	if (c->fd >= 0 && (!ok || kind->close)) {
		close(c->fd);
		c->fd = -1;
	}
	c->busy = false;
	idle[(first_idle + n_idle++) % n_conns] = c;
}

static void begin_request(int64_t due)
{
	struct conn *c = idle[first_idle];

	first_idle = (first_idle + 1) % n_conns;
	n_idle--;
	c->busy = true;
	c->due = due;
	c->got = 0;
	if ((c->fd < 0 && !open_conn(c)) ||
	    send(c->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len)
		end_request(c, false);
}

static void read_answer(struct conn *c)
{
	ssize_t n = recv(c->fd, c->answer + c->got, sizeof(c->answer) - 1 - c->got, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0) {
		c->got += (size_t)n;
		c->answer[c->got] = '\0';
		if (c->busy && !kind->complete(c) && c->got < sizeof(c->answer) - 1)
			return;
	}
	if (c->busy) {
		end_request(c, n > 0 && kind->complete(c) && usable(c));
	} else { /* the server has had enough of this connection */
		close(c->fd);
		c->fd = -1;
	}
}

/* Returns how many were due and not sent. */
static uint64_t drive(double rate, int64_t start, int64_t end)
{
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET }, events[64];
	uint64_t next = 0;

	if (timer < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer, &ev))
		exit(2);
	for (;;) {
		int64_t now = now_ns(), due = now;

		while (n_idle && now < end) {
			due = rate ? start + (int64_t)((double)next / rate * SECOND) : now;
			if (due > now || due >= end)
				break;
			begin_request(due);
			next++;
			now = now_ns();
		}
		if ((now >= end && n_idle == n_conns) || now >= end + LAST_ANSWER)
			break;
		int64_t wake = n_idle && now < end ? due : now < end ? end : end + LAST_ANSWER;
		struct itimerspec at = { .it_value = { wake / SECOND, wake % SECOND } };

		timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
		int n = epoll_wait(epoll_fd, events, 64, -1);

		for (int i = 0; i < n; i++)
			if (events[i].data.ptr)
				read_answer(events[i].data.ptr);
	}
	failed += n_conns - n_idle;
	uint64_t wanted = rate ? (uint64_t)(rate * (double)(end - start) / SECOND) : next;

	return wanted > next ? wanted - next : 0;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint32_t percentile(double p)
{
	return n_latencies ? latencies[(size_t)(p * (double)(n_latencies - 1))] : 0;
}

int main(int argc, char **argv)
{
	if (argc != 7)
		return 2;
	server.sin_port = htons((uint16_t)atoi(argv[1]));
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	n_conns = (size_t)atol(argv[2]);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(argv[5], kinds[i].name))
			kind = &kinds[i];
	conns = calloc(n_conns, sizeof(*conns));
	idle = calloc(n_conns, sizeof(*idle));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!kind || !n_conns || !conns || !idle || epoll_fd < 0)
		return 2;
	request_len = (size_t)snprintf(request, sizeof(request), kind->request, argv[6]);
	if (request_len >= sizeof(request))
		return 2;
	for (size_t i = 0; i < n_conns; i++) {
		conns[i].fd = -1;
		idle[n_idle++] = &conns[i];
	}
	int64_t start = now_ns(), end = start + (int64_t)(atof(argv[4]) * SECOND);
	uint64_t unsent = drive(atof(argv[3]), start, end);
	double took = (double)(now_ns() - start) / SECOND;

	if (n_latencies)
		qsort(latencies, n_latencies, sizeof(*latencies), compare);
	printf("requests=%zu failed=%llu unsent=%llu seconds=%.3f p50_us=%u p99_us=%u max_us=%u\n",
	       n_latencies, (unsigned long long)failed, (unsigned long long)unsent, took,
	       percentile(0.5), percentile(0.99), percentile(1));
	return failed != 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A target of tools/accuracy: a pool of workers behind a queue. One thread reads requests from all
 * connections; 16 workers take them from the queue, make the calls over pools of 10 connections
 * (HTTP and Redis) and write the answers. With "threads": a thread for each connection instead.
 *
 *   pool PORT BACKEND-PORT REDIS-PORT [threads]
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 16
#define POOL 10
#define QUEUE 1024

struct request {
	int fd;
	char path[128];
	bool last;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t freed;
	int port, free[POOL], n_free, n_made;
};

static struct pool http = { .lock = PTHREAD_MUTEX_INITIALIZER, .freed = PTHREAD_COND_INITIALIZER };
static struct pool redis = { .lock = PTHREAD_MUTEX_INITIALIZER, .freed = PTHREAD_COND_INITIALIZER };
static struct request queue[QUEUE];
static unsigned head, tail;
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_filled = PTHREAD_COND_INITIALIZER;
static int poller;

static void pause_ms(int ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000l }, NULL);
}

static int connect_to(int port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_port = htons((uint16_t)port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin))) {
		perror("connect");
		exit(1);
	}
	return fd;
}

static int pool__take(struct pool *p)
{
	int fd = -1;

	pthread_mutex_lock(&p->lock);
	while (!p->n_free && p->n_made == POOL)
		pthread_cond_wait(&p->freed, &p->lock);
	if (p->n_free)
		fd = p->free[--p->n_free];
	else
		p->n_made++;
	pthread_mutex_unlock(&p->lock);
	return fd >= 0 ? fd : connect_to(p->port);
}

static void pool__give(struct pool *p, int fd)
{
	pthread_mutex_lock(&p->lock);
	p->free[p->n_free++] = fd;
	pthread_cond_signal(&p->freed);
	pthread_mutex_unlock(&p->lock);
}

/* One exchange; the answer is short and ends in `end`. */
static void exchange(struct pool *p, const char *text, const char *end)
{
	int fd = pool__take(p);
	char buf[1024];
	size_t n = 0;

	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		exit(1);
	do {
		ssize_t got = recv(fd, buf + n, sizeof(buf) - 1 - n, 0);

		if (got <= 0)
			exit(1);
		n += (size_t)got;
		buf[n] = '\0';
	} while (!strstr(buf, end));
	pool__give(p, fd);
}

/* Calls of even numbers go to the HTTP backend, of odd ones to Redis. */
static void call(int which, const char *id, const char *tag)
{
	char text[256], key[64], end[64];

	snprintf(key, sizeof(key), "%.30s-%.20s", id, tag);
	snprintf(end, sizeof(end), "\r\n\r\n/b/%.50s\n", key);
	if (which % 2) {
		snprintf(text, sizeof(text), "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", strlen(key), key);
		exchange(&redis, text, "\r\n");
	} else {
		snprintf(text, sizeof(text), "GET /b/%s HTTP/1.1\r\nHost: backend\r\n\r\n", key);
		exchange(&http, text, end);
	}
}

struct call {
	pthread_t thread;
	int which;
	char id[64], tag[2];
};

static void *call_aside(void *arg)
{
	struct call *c = arg;

	call(c->which, c->id, c->tag);
	return NULL;
}

/* n calls at once, the i-th of number first + i, each on a thread of its own. */
static void calls_aside(int n, int first, const char *id)
{
	struct call calls[4];

	for (int i = 0; i < n; i++) {
		calls[i] = (struct call){ .which = first + i, .tag = { (char)('1' + i) } };
		snprintf(calls[i].id, sizeof(calls[i].id), "%s", id);
		if (pthread_create(&calls[i].thread, NULL, call_aside, &calls[i]))
			exit(1);
	}
	for (int i = 0; i < n; i++)
		pthread_join(calls[i].thread, NULL);
}

static void *call_later(void *arg)
{
	pause_ms(5);
	call(atoi((char *)arg + 2), arg, "after");
	free(arg);
	return NULL;
}

static void begin_later(const char *id)
{
	pthread_t thread;
	char *copy = strdup(id);

	if (copy && pthread_create(&thread, NULL, call_later, copy) == 0)
		pthread_detach(thread);
}

static void work(const char *route, const char *id)
{
	int number = atoi(id + 2);

	if (strcmp(route, "one") == 0) {
		call(number, id, "1");
	} else if (strcmp(route, "seq") == 0) {
		for (int i = 0; i <= number % 4; i++)
			call(i, id, (char[]){ (char)('1' + i), '\0' });
	} else if (strcmp(route, "par") == 0) {
		calls_aside(1 + number % 4, 0, id);
	} else if (strcmp(route, "hop") == 0) {
		calls_aside(1, number, id);
	} else if (strcmp(route, "think") == 0) {
		pause_ms(3);
		call(number, id, "1");
		pause_ms(2);
		call(number + 1, id, "2");
	} else if (strcmp(route, "sleep") == 0) {
		pause_ms(5);
	} else if (strcmp(route, "after") == 0) {
		begin_later(id);
	}
}

/* False: the connection is of no more use. */
static bool serve(const struct request *r)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
	char route[64], id[64];

	if (sscanf(r->path, "/%63[^/]/%63s", route, id) == 2)
		work(route, id);
	return send(r->fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) > 0 && !r->last;
}

static void *worker(void *arg)
{
	(void)arg;
	for (;;) {
		pthread_mutex_lock(&queue_lock);
		while (head == tail)
			pthread_cond_wait(&queue_filled, &queue_lock);
		struct request r = queue[tail++ % QUEUE];

		pthread_mutex_unlock(&queue_lock);
		if (!serve(&r))
			close(r.fd);
		else
			epoll_ctl(poller, EPOLL_CTL_MOD, r.fd,
				  &(struct epoll_event){ .events = EPOLLIN | EPOLLONESHOT,
							 .data.fd = r.fd });
	}
	return NULL;
}

/* The load sends each request in one piece and waits for its answer. */
static bool take_request(int fd, struct request *r)
{
	char buf[4096];
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, 0);

	*r = (struct request){ .fd = fd };
	if (n <= 0 || (buf[n] = '\0', sscanf(buf, "GET %127s", r->path) != 1)) {
		close(fd);
		return false;
	}
	r->last = strcasestr(buf, "connection: close");
	return true;
}

static void *serve_connection(void *arg)
{
	struct request r;

	while (take_request((int)(intptr_t)arg, &r))
		if (!serve(&r)) {
			close(r.fd);
			break;
		}
	return NULL;
}

static void serve_all(int listener)
{
	pthread_t thread;
	int fd;

	while ((fd = accept(listener, NULL, NULL)) >= 0)
		if (pthread_create(&thread, NULL, serve_connection, (void *)(intptr_t)fd) == 0)
			pthread_detach(thread);
}

static void enqueue(int fd)
{
	struct request r;

	if (!take_request(fd, &r))
		return;
	pthread_mutex_lock(&queue_lock);
	queue[head++ % QUEUE] = r;
	pthread_cond_signal(&queue_filled);
	pthread_mutex_unlock(&queue_lock);
}

static void *nobody(void *arg)
{
	(void)arg;
	for (int i = 0;; i++) {
		char tag[24];

		pause_ms(20);
		snprintf(tag, sizeof(tag), "%d", i);
		call(i, "bg", tag);
	}
	return NULL;
}

static int listen_on(int port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_port = htons((uint16_t)port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) || listen(fd, 1024)) {
		perror("pool");
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc < 4)
		return 2;
	http.port = atoi(argv[2]);
	redis.port = atoi(argv[3]);
	for (int i = 0; i <= WORKERS; i++)
		if (pthread_create(&thread, NULL, i ? worker : nobody, NULL))
			return 1;
	int listener = listen_on(atoi(argv[1]));

	if (argc > 4)
		serve_all(listener);
	poller = epoll_create1(0);
	epoll_ctl(poller, EPOLL_CTL_ADD, listener,
		  &(struct epoll_event){ .events = EPOLLIN, .data.fd = listener });
	for (;;) {
		struct epoll_event events[64];
		int n = epoll_wait(poller, events, 64, -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd != listener) {
				enqueue(fd);
			} else if ((fd = accept(listener, NULL, NULL)) >= 0) {
				epoll_ctl(poller, EPOLL_CTL_ADD, fd,
					  &(struct epoll_event){ .events = EPOLLIN | EPOLLONESHOT,
								 .data.fd = fd });
			}
		}
	}
}

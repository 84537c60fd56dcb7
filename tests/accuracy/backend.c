// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the targets of tools/accuracy call by HTTP: answers each request after a while chosen by
 * chance. One thread a connection; kept-alive and pipelined requests.
 *
 *   backend PORT LONGEST-µs
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
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static unsigned longest_us;

static void pause_by_chance(unsigned *seed)
{
	struct timespec ts = { .tv_nsec = longest_us ? (long)(rand_r(seed) % longest_us) * 1000
						     : 0 };

	nanosleep(&ts, NULL);
}

/* Answers one request of the buffer and takes it away. False: the connection is over. */
static bool answer(int fd, char *buf, size_t *n, unsigned *seed)
{
	char *end = strstr(buf, "\r\n\r\n"), text[512];

	*end = '\0';
	bool last = strcasestr(buf, "connection: close") || strstr(buf, "HTTP/1.0");
	int path = (int)strcspn(buf + 4, " \r\n");

	if (path > 200)
		path = 200;
	pause_by_chance(seed);
	int len = snprintf(
		text, sizeof(text),
		"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n%s\r\n%.*s\n",
		path + 1, last ? "Connection: close\r\n" : "", path, buf + 4);
	bool sent = send(fd, text, (size_t)len, MSG_NOSIGNAL) == len;

	end += 4;
	*n -= (size_t)(end - buf);
	memmove(buf, end, *n + 1);
	return sent && !last;
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	unsigned seed = (unsigned)fd * 31 + (unsigned)time(NULL);
	char buf[65536];
	size_t n = 0;
	bool going = true;

	buf[0] = '\0';
	while (going) {
		ssize_t got = recv(fd, buf + n, sizeof(buf) - 1 - n, 0);

		if (got <= 0)
			break;
		n += (size_t)got;
		buf[n] = '\0';
		while (going && strstr(buf, "\r\n\r\n"))
			going = answer(fd, buf, &n, &seed);
	}
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

	if (argc != 3)
		return 2;
	sin.sin_port = htons((uint16_t)atoi(argv[1]));
	longest_us = (unsigned)atoi(argv[2]);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&sin, sizeof(sin)) || listen(listener, 1024)) {
		perror("backend");
		return 1;
	}
	for (;;) {
		pthread_t thread;
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd))
			close(fd);
		else
			pthread_detach(thread);
	}
}

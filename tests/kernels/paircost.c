// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * paircost: what reading and writing a TCP connection costs, traced or not. Both ends are in this
 * one thread, so that nothing but the calls themselves is measured. Says "ready", waits for SIGUSR1
 * (in the meantime somebody may begin to trace it), and prints ns, the best of many short batches:
 *     pair 4500           send() of a request or answer of some 230 bytes, and recv() of it
 *     exchange 12000      send(), epoll_wait(), recv(), writev() of two pieces, recv(): a web server's
 *     getppid 95
 * In a guest that counts (tools/run-in-guest -i) these are instructions.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define CALLS 100

static int client, server, epoll;
static char request[] = "GET /some/path HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nX-Long: "
			"0123456789012345678901234567890123456789012345678901234567890123456789"
			"0123456789012345678901234567890123456789012345678901234567890123456789"
			"01234567890123456789\r\n\r\n";
static char head[] = "HTTP/1.1 200 OK\r\nServer: one/1.0\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\n"
		     "Content-Type: text/html\r\nContent-Length: 16\r\nConnection: keep-alive\r\n"
		     "ETag: \"0123456789\"\r\nAccept-Ranges: bytes\r\n\r\n";
static char body[] = "0123456789abcdef";
static char whole[sizeof(head) + sizeof(body)];

static void check(long ret, const char *what)
{
	if (ret > 0)
		return;
	perror(what);
	exit(1);
}

static void move(int from, int to, const char *text)
{
	char space[1024];

	check(send(from, text, strlen(text), 0), "send");
	check(recv(to, space, sizeof(space), 0), "recv");
}

/* Two pairs. */
static void one_pair(void)
{
	move(client, server, request);
	move(server, client, whole);
}

static void one_exchange(void)
{
	struct iovec pieces[2] = { { head, sizeof(head) - 1 }, { body, sizeof(body) - 1 } };
	struct epoll_event ready;
	char space[1024];

	check(send(client, request, sizeof(request) - 1, 0), "send");
	check(epoll_wait(epoll, &ready, 1, -1), "epoll_wait");
	check(recv(server, space, sizeof(space), 0), "recv");
	check(writev(server, pieces, 2), "writev");
	check(recv(client, space, sizeof(space), 0), "recv");
}

static void one_getppid(void)
{
	(void)getppid();
}

static void connect_both(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event in = { .events = EPOLLIN };
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	socklen_t len = sizeof(sa);

	check(listener, "socket");
	check(!bind(listener, (struct sockaddr *)&sa, len) && !listen(listener, 1), "listen");
	check(!getsockname(listener, (struct sockaddr *)&sa, &len), "getsockname");
	client = socket(AF_INET, SOCK_STREAM, 0);
	check(!connect(client, (struct sockaddr *)&sa, len), "connect");
	server = accept(listener, NULL, NULL);
	check(server, "accept");
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	epoll = epoll_create1(EPOLL_CLOEXEC);
	in.data.fd = server;
	check(!epoll_ctl(epoll, EPOLL_CTL_ADD, server, &in), "epoll_ctl");
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void measure(const char *name, void (*call)(void), int batches, int calls_each)
{
	const struct timespec pause = { .tv_nsec = 2000000 }; /* the ring is emptied meanwhile */
	uint64_t best = UINT64_MAX;

	for (int b = 0; b < batches; b++) {
		uint64_t begin = now();

		for (int i = 0; i < CALLS; i++)
			call();
		uint64_t took = now() - begin;

		best = took < best ? took : best;
		nanosleep(&pause, NULL);
	}
	printf("%s %llu\n", name, (unsigned long long)(best / CALLS / calls_each));
}

int main(int argc, char **argv)
{
	int batches = argc > 1 ? atoi(argv[1]) : 200, got;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	strcpy(whole, head);
	strcat(whole, body);
	printf("ready\n");
	fflush(stdout);
	sigwait(&set, &got);
	connect_both();
	measure("pair", one_pair, batches, 2);
	measure("exchange", one_exchange, batches, 1);
	measure("getppid", one_getppid, batches, 1);
	return 0;
}

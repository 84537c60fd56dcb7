/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An HTTPS client that does all it can to hide which session goes over which socket, within what a
 * program may do: sessions encrypt into memory; the ciphertext of all of them is made by one thread,
 * and sent by another one, in another order, in pieces, behind one another; answers are read off the
 * sockets before any of them is decrypted, peeked at twice, then taken in small and large pieces.
 *
 *   tls_memory PORT CONNECTIONS ROUNDS FIRST-ID
 *
 * As tls_client.py: a request on each connection, "ready", waits for a line, ROUNDS requests on each,
 * then one line of JSON: [[method, path, status, local port, first ns, last ns], ...].
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX 64
#define ANSWER (1 << 16)

struct peer {
	SSL *ssl;
	BIO *in, *out; /* ciphertext: to be decrypted, to be sent */
	int fd, port, number;
	long long began;
	char answer[ANSWER];
	size_t n;
	int status;
};

static struct peer peers[MAX];
static int count;

static void require(int right, const char *what)
{
	if (right)
		return;
	perror(what);
	exit(1);
}

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* The order in which it is sent has nothing to do with the order in which it was made. */
static struct peer *other(int i, int round)
{
	static const int steps[] = { 1, 3, 7, 9 }; /* none divides the number of connections */

	return &peers[(i * steps[round % 4] + round) % count];
}

static void flush(struct peer *p)
{
	char bytes[1 << 15];
	int n = BIO_read(p->out, bytes, sizeof(bytes));

	/* the first piece ends within a record */
	for (int at = 0, part = n > 40 ? n / 3 : n; at < n; at += part, part = n - at)
		require(write(p->fd, bytes + at, (size_t)part) == part, "write");
}

static void *flush_all(void *round)
{
	for (int i = 0; i < count; i++)
		flush(other(i, *(int *)round));
	return NULL;
}

/* What has arrived, at least something. */
static void fetch(struct peer *p)
{
	char bytes[1 << 14];
	ssize_t n = read(p->fd, bytes, sizeof(bytes));

	require(n > 0 && BIO_write(p->in, bytes, (int)n) == n, "read");
}

static void begin(struct peer *p, SSL_CTX *ctx, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	socklen_t len = sizeof(a);
	int rc, at_once = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	require(!connect(p->fd, (struct sockaddr *)&a, sizeof(a)), "connect");
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once));
	require(!getsockname(p->fd, (struct sockaddr *)&a, &len), "getsockname");
	p->port = ntohs(a.sin_port);
	p->ssl = SSL_new(ctx);
	p->in = BIO_new(BIO_s_mem());
	p->out = BIO_new(BIO_s_mem());
	SSL_set_bio(p->ssl, p->in, p->out);
	SSL_set_connect_state(p->ssl);
	while ((rc = SSL_do_handshake(p->ssl)) != 1) {
		require(SSL_get_error(p->ssl, rc) == SSL_ERROR_WANT_READ, "handshake");
		flush(p);
		fetch(p);
	}
	flush(p);
}

static void ask(struct peer *p, int number, int port)
{
	char text[256];
	size_t done;
	int n = snprintf(text, sizeof(text),
			 "GET /w/200/%d%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", number,
			 number % 3 ? "" : "?size=40000", port);

	p->number = number;
	p->n = 0;
	p->status = 0;
	p->began = now();
	/* every second one in two calls */
	if (number % 2) {
		require(SSL_write(p->ssl, text, n) == n, "SSL_write");
		return;
	}
	require(SSL_write_ex(p->ssl, text, 20, &done) && done == 20, "SSL_write_ex");
	require(SSL_write(p->ssl, text + 20, n - 20) == n - 20, "SSL_write");
}

static int whole(struct peer *p)
{
	char *end, *length;

	p->answer[p->n] = 0;
	end = strstr(p->answer, "\r\n\r\n");
	length = end ? strcasestr(p->answer, "content-length:") : NULL;
	if (!length || p->n < (size_t)(end + 4 - p->answer) + (size_t)atoi(length + 15))
		return 0;
	p->status = atoi(p->answer + 9);
	return 1;
}

/* All that can be decrypted of what was fetched. */
static void decrypt(struct peer *p)
{
	char same[64];

	for (;;) {
		size_t n, want = p->n % 2 ? 37 : ANSWER - p->n - 1;

		if (SSL_peek(p->ssl, same, sizeof(same)) <= 0)
			return;
		require(SSL_peek(p->ssl, same, 5) > 0, "SSL_peek");
		if (want > ANSWER - p->n - 1)
			want = ANSWER - p->n - 1;
		require(SSL_read_ex(p->ssl, p->answer + p->n, want, &n), "SSL_read_ex");
		p->n += n;
	}
}

static void round_of(int first, int each, int round, int port, int print)
{
	pthread_t thread;
	int left = count;

	for (int i = 0; i < count; i++)
		ask(&peers[i], first + i * each + round, port);
	require(!pthread_create(&thread, NULL, flush_all, &round), "pthread_create");
	pthread_join(thread, NULL);
	while (left) {
		for (int i = 0; i < count; i++)
			if (!other(i, round)->status)
				fetch(other(i, round));
		for (int i = 0; i < count; i++) {
			struct peer *p = &peers[i];

			if (p->status)
				continue;
			decrypt(p);
			if (!whole(p))
				continue;
			left--;
			if (print)
				printf("%s[\"GET\", \"/w/200/%d%s\", %d, %d, %lld, %lld]",
				       print++ > 1 ? ", " : "", p->number,
				       p->number % 3 ? "" : "?size=40000", p->status, p->port,
				       p->began, now());
		}
	}
}

int main(int argc, char **argv)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	char line[16];
	int port, rounds, first;

	if (argc != 5 || (count = atoi(argv[2])) > MAX)
		return 2;
	port = atoi(argv[1]);
	rounds = atoi(argv[3]);
	first = atoi(argv[4]);
	for (int i = 0; i < count; i++)
		begin(&peers[i], ctx, port);
	round_of(900000000, 1, 0, port, 0);
	printf("ready\n");
	fflush(stdout);
	require(!!fgets(line, sizeof(line), stdin), "stdin");
	printf("[");
	for (int r = 0; r < rounds; r++)
		round_of(first, rounds, r, port, r ? 2 : 1);
	printf("]\n");
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every way in which a program reads and writes sockets, one after the other, always in the same
 * order: what two back ends see of it must be the same. Prints one line a call that moves bytes,
 * with what it expects to be seen. Two threads would make the order vary, so one thread holds both
 * ends; loopback is fast enough never to block.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(expr)                                                                                \
	({                                                                                         \
		long check_ret = (expr);                                                           \
		if (check_ret < 0) {                                                               \
			fprintf(stderr, "%s:%d: %s: %m\n", __FILE__, __LINE__, #expr);             \
			exit(1);                                                                   \
		}                                                                                  \
		check_ret;                                                                         \
	})

struct pair {
	int a, b; /* a connected, b accepted */
};

static char text[1 << 16], space[1 << 17];

static void said(const char *call, long n)
{
	printf("%s %ld\n", call, n);
}

static void fill(void)
{
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = 'a' + (i * 7 + i / 26) % 26;
}

/* Wait until `n` bytes can be read, so that one read gets them all. */
static void arrived(int fd, int n)
{
	for (int i = 0; i < 2000 && recv(fd, space, sizeof(space), MSG_PEEK | MSG_DONTWAIT) < n;
	     i++)
		usleep(1000);
}

static int listener(int family, struct sockaddr *sa, socklen_t *len)
{
	int fd = CHECK(socket(family, SOCK_STREAM, 0));

	CHECK(bind(fd, sa, *len));
	CHECK(listen(fd, 8));
	if (family != AF_UNIX)
		CHECK(getsockname(fd, sa, len));
	return fd;
}

static struct pair tcp_pair(int server_family, int client_family)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_any };
	struct sockaddr *sa = server_family == AF_INET ? (void *)&v4 : (void *)&v6;
	socklen_t len = server_family == AF_INET ? sizeof(v4) : sizeof(v6);
	int l = listener(server_family, sa, &len);
	struct pair p;

	if (server_family == AF_INET6) {
		v4.sin_port = v6.sin6_port;
		v6.sin6_addr = in6addr_loopback;
		sa = client_family == AF_INET ? (void *)&v4 : (void *)&v6;
		len = client_family == AF_INET ? sizeof(v4) : sizeof(v6);
	}
	p.a = CHECK(socket(client_family, SOCK_STREAM, 0));
	CHECK(connect(p.a, sa, len));
	p.b = CHECK(accept4(l, NULL, NULL, SOCK_CLOEXEC));
	setsockopt(p.a, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	setsockopt(p.b, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	close(l);
	return p;
}

static struct pair unix_pair(const char *name, int abstract)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1;
	struct pair p;
	int l;

	strcpy(sa.sun_path + abstract, name);
	l = listener(AF_UNIX, (void *)&sa, &len);
	p.a = CHECK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK(connect(p.a, (void *)&sa, len));
	p.b = CHECK(accept(l, NULL, NULL));
	close(l);
	if (!abstract)
		unlink(name);
	return p;
}

/* "n" pieces of the text, of the given sizes, as an iovec. */
static int pieces(struct iovec *v, char *from, int n, ...)
{
	va_list ap;

	va_start(ap, n);
	for (int i = 0; i < n; i++) {
		v[i].iov_base = from;
		v[i].iov_len = va_arg(ap, int);
		from += v[i].iov_len + 3; /* not one behind the other */
	}
	va_end(ap);
	return n;
}

static void plain_calls(struct pair p)
{
	struct iovec v[24];
	int n;

	said("write", CHECK(write(p.a, text, 100)));
	arrived(p.b, 100);
	said("read", CHECK(read(p.b, space, 30)));
	said("read rest", CHECK(read(p.b, space, sizeof(space))));
	said("send", CHECK(send(p.b, text + 5, 5000, 0)));
	arrived(p.a, 5000);
	said("recv peek", CHECK(recv(p.a, space, 10, MSG_PEEK)));
	said("recv", CHECK(recv(p.a, space, sizeof(space), 0)));
	said("sendto", CHECK(sendto(p.a, text + 9, 1, 0, NULL, 0)));
	arrived(p.b, 1);
	said("recvfrom", CHECK(recvfrom(p.b, space, 1, 0, NULL, NULL)));
	n = pieces(v, text, 5, 10, 0, 300, 1, 2000);
	said("writev", CHECK(writev(p.a, v, n)));
	arrived(p.b, 2311);
	n = pieces(v, space, 3, 7, 100, 4000);
	said("readv", CHECK(readv(p.b, v, n)));
	n = 0;
	for (int i = 0; i < 24; i++)
		v[n++] = (struct iovec){ text + 40 * i, 10 + i };
	said("writev 24", CHECK(writev(p.a, v, n)));
	arrived(p.b, 516);
	for (int i = 0; i < 24; i++)
		v[i] = (struct iovec){ space + 64 * i, 22 };
	said("readv 24", CHECK(readv(p.b, v, 24)));
}

static void message_calls(struct pair p)
{
	struct iovec v[4], w[4];
	struct msghdr m = { .msg_iov = v };
	struct mmsghdr mm[3];
	int n;

	m.msg_iovlen = pieces(v, text + 50, 3, 50, 60, 70);
	said("sendmsg", CHECK(sendmsg(p.b, &m, 0)));
	arrived(p.a, 180);
	m.msg_iovlen = pieces(v, space, 2, 100, 100);
	said("recvmsg", CHECK(recvmsg(p.a, &m, 0)));
	for (int i = 0; i < 3; i++) {
		w[i] = (struct iovec){ text + 1000 * i, 100 + 10 * i };
		mm[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &w[i], .msg_iovlen = 1 } };
	}
	n = CHECK(sendmmsg(p.a, mm, 3, 0));
	for (int i = 0; i < n; i++)
		said("sendmmsg", mm[i].msg_len);
	arrived(p.b, 330);
	for (int i = 0; i < 3; i++)
		w[i] = (struct iovec){ space + 1000 * i, i == 2 ? 1000 : 100 };
	n = CHECK(recvmmsg(p.b, mm, 3, MSG_WAITFORONE, NULL));
	for (int i = 0; i < n; i++)
		said("recvmmsg", mm[i].msg_len);
	v[0] = (struct iovec){ text, 40 };
	said("pwritev2", CHECK(pwritev2(p.a, v, 1, -1, 0)));
	arrived(p.b, 40);
	v[0] = (struct iovec){ space, 40 };
	said("preadv2", CHECK(preadv2(p.b, v, 1, -1, 0)));
}

static long read_all(int fd, long want)
{
	long got = 0;

	while (got < want) {
		long n;

		arrived(fd, want - got < 4000 ? want - got : 4000);
		n = CHECK(recv(fd, space, 4000, MSG_WAITALL | MSG_DONTWAIT));
		said("recv part", n);
		got += n;
	}
	return got;
}

/*
 * The lengths that a large transfer is cut into are not fixed, so these stay below what is moved in
 * one piece.
 */
static void file_calls(struct pair p)
{
	int file = CHECK(memfd_create("iocalls", 0)), pipefd[2];

	CHECK(write(file, text, 12000));
	CHECK(lseek(file, 0, SEEK_SET));
	said("sendfile", CHECK(sendfile(p.a, file, NULL, 12000)));
	read_all(p.b, 12000);
	CHECK(pipe(pipefd));
	CHECK(write(pipefd[1], text, 3000));
	said("splice out", CHECK(splice(pipefd[0], NULL, p.a, NULL, 3000, 0)));
	arrived(p.b, 3000);
	said("splice in", CHECK(splice(p.b, NULL, pipefd[1], NULL, 3000, 0)));
	CHECK(read(pipefd[0], space, 3000));
	close(pipefd[0]);
	close(pipefd[1]);
	close(file);
}

static void odd_calls(struct pair p, int tcp)
{
	int dup_a = CHECK(dup(p.a));
	char *gone = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	said("write on dup", CHECK(write(dup_a, text, 10)));
	close(p.a);
	said("write on dup after close", CHECK(write(dup_a, text + 10, 10)));
	arrived(p.b, 20);
	said("read 0 bytes", CHECK(read(p.b, space, 0)));
	said("read both", CHECK(read(p.b, space, 100)));
	said("read nothing", recv(p.b, space, 100, MSG_DONTWAIT) < 0 ? 0 : -1);
	if (tcp) {
		CHECK(send(dup_a, "x", 1, MSG_OOB));
		said("send oob, not seen", 0);
		CHECK(write(dup_a, text, 50));
		arrived(p.b, 1);
		while (recv(p.b, space, 1000, MSG_DONTWAIT) > 0)
			usleep(10000);
		said("write, read around oob", 50);
		said("write", CHECK(write(dup_a, text, 60)));
		arrived(p.b, 60);
		said("recv trunc", CHECK(recv(p.b, NULL, 25, MSG_TRUNC)));
		said("recv", CHECK(recv(p.b, space, 100, 0)));
	}
	/* A call that ends in memory which isn't there: the bytes before it are sent. */
	if (gone != MAP_FAILED) {
		memcpy(gone, text, 4096);
		munmap(gone + 4096, 4096);
		said("write short", write(dup_a, gone + 4000, 4096));
		usleep(20000);
		said("read short", recv(p.b, space, 4096, MSG_DONTWAIT));
	}
	said("shutdown", CHECK(shutdown(dup_a, SHUT_WR)));
	arrived(p.b, 0);
	said("read end", CHECK(read(p.b, space, 100)));
	said("read end again", CHECK(read(p.b, space, 100)));
	said("write back", CHECK(write(p.b, text, 33)));
	close(p.b);
	arrived(dup_a, 33);
	said("read last", CHECK(read(dup_a, space, 100)));
	said("read end", CHECK(read(dup_a, space, 100)));
	close(dup_a);
}

/* A child uses the parent's sockets; then descriptors are used again. */
static void processes(void)
{
	struct pair p = tcp_pair(AF_INET, AF_INET);
	int status;
	pid_t pid = CHECK(fork());

	if (!pid) {
		said("child write", CHECK(write(p.a, text, 77)));
		fflush(stdout);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0));
	arrived(p.b, 77);
	said("parent read", CHECK(read(p.b, space, 100)));
	close(p.a);
	close(p.b);
	for (int i = 0; i < 5; i++) {
		p = i % 2 ? unix_pair("iocalls-again", 1) : tcp_pair(AF_INET, AF_INET);
		said("again write", CHECK(write(p.a, text, 11 + i)));
		arrived(p.b, 11 + i);
		said("again read", CHECK(read(p.b, space, 100)));
		shutdown(p.b, SHUT_RDWR);
		said("again end", CHECK(read(p.a, space, 100)));
		close(p.a);
		close(p.b);
		usleep(20000);
	}
}

static void nonblocking_connect(void)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(v4);
	int l = listener(AF_INET, (void *)&v4, &len), a, b;
	struct pollfd pf;

	a = CHECK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	if (connect(a, (void *)&v4, len) && errno != EINPROGRESS)
		exit(1);
	pf = (struct pollfd){ .fd = a, .events = POLLOUT };
	CHECK(poll(&pf, 1, 2000));
	b = CHECK(accept(l, NULL, NULL));
	said("server speaks first", CHECK(write(b, text, 20)));
	arrived(a, 20);
	said("client reads", CHECK(read(a, space, 100)));
	close(l);
	close(b);
	close(a);
	/* Nobody listens there any more: a connection that never was. */
	a = CHECK(socket(AF_INET, SOCK_STREAM, 0));
	if (!connect(a, (void *)&v4, len))
		exit(1);
	close(a);
}

static void not_streams(void)
{
	int fds[2];

	CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds));
	CHECK(write(fds[0], text, 10));
	CHECK(read(fds[1], space, 10));
	close(fds[0]);
	close(fds[1]);
	CHECK(pipe(fds));
	CHECK(write(fds[1], text, 10));
	CHECK(read(fds[0], space, 10));
	close(fds[0]);
	close(fds[1]);
}

/* One frame of HTTP/2 (RFC 9113, 4.1) at `to`; its payload is text. Returns its size. */
static int frame(char *to, int type, int flags, int stream, int len)
{
	char head[9] = { len >> 16, len >> 8, len, type, flags, 0, 0, stream >> 8, stream };

	memcpy(to, head, sizeof(head));
	memcpy(to + sizeof(head), text + stream, len);
	return sizeof(head) + len;
}

static void send_frames(struct pair p, const char *from, int n, int some)
{
	for (int at = 0; at < n; at += some) {
		int now = n - at < some ? n - at : some;

		said("frames", CHECK(write(p.a, from + at, now)));
	}
}

static void read_frames(struct pair p, int n, int some)
{
	struct iovec v[4];

	arrived(p.b, n);
	for (int at = 0; at < n; at += some) {
		int now = n - at < some ? n - at : some;

		if (at / some % 2 == 0) {
			said("frames", CHECK(recv(p.b, space, now, 0)));
			continue;
		}
		int k = now > 40 ? pieces(v, space, 4, 3, 8, 20, now - 31)
				 : pieces(v, space, 1, now);

		said("frames", CHECK(readv(p.b, v, k)));
	}
}

/* What weft follows, cut in every way: frame headers and payloads over calls and segments. */
static void frame_calls(struct pair p)
{
	static char b[60000];
	static const int body[] = { 0, 5000, 20, 300, 33, 9000, 1 };
	struct iovec v[6];
	int n, file, from;

	strcpy(b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	n = 24;
	n += frame(b + n, 4, 0, 0, 18);
	for (int i = 0; i < 14; i++) {
		n += frame(b + n, 1, 4, 2 * i + 1, 30 + 100 * i);
		n += frame(b + n, 0, i % 3 ? 0 : 8, 2 * i + 1, body[i % 7] + (i % 3 ? 0 : 1));
		n += frame(b + n, 8, 0, i % 2 ? 0 : 2 * i + 1, 4);
		if (i == 5)
			n += frame(b + n, 0x21, 0xff, 0, 700); /* a type that is not known */
	}
	send_frames(p, b, 24, 24);
	send_frames(p, b + 24, 30, 7);
	send_frames(p, b + 54, 9000, 3000);
	from = 9054;
	for (int i = 0; i < 4; i++) {
		int k = pieces(v, b + from, 6, 100, 5, 1, 3, 2000, 9), sum = 0;

		for (int j = 0; j < k; j++) {
			v[j].iov_base = b + from + sum;
			sum += v[j].iov_len;
		}
		said("frames", CHECK(writev(p.a, v, k)));
		from += sum;
	}
	send_frames(p, b + from, n - from, 1 << 20);
	read_frames(p, n / 2, 777);
	read_frames(p, n - n / 2, 4096);
	/* A payload that weft can't read, of which it wants nothing. */
	file = CHECK(memfd_create("iocalls-body", 0));
	CHECK(write(file, text, 3000));
	CHECK(lseek(file, 0, SEEK_SET));
	n = frame(b, 0, 0, 99, 5000) - 5000;
	said("frames", CHECK(write(p.a, b, n)));
	said("frames sendfile", CHECK(sendfile(p.a, file, NULL, 3000)));
	close(file);
	n = 2000;
	n += frame(b + n, 1, 5, 101, 60);
	send_frames(p, b, n, n);
	read_frames(p, 5069 + 9, 1000);
	shutdown(p.a, SHUT_RDWR);
	close(p.a);
	close(p.b);
	usleep(50000);
}

static void all_calls(const char *name, struct pair p, int tcp)
{
	printf("-- %s\n", name);
	plain_calls(p);
	message_calls(p);
	file_calls(p);
	odd_calls(p, tcp);
	usleep(50000);
}

int main(int argc, char **argv)
{
	struct pair p;
	int fds[2];

	setvbuf(stdout, NULL, _IOLBF, 0);
	fill();
	memset(space, 1, sizeof(space));
	if (argc > 2 &&
	    !strcmp(argv[1], "-b")) { /* bench: N rounds of 256 bytes through a socket pair */
		CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
		for (int i = atoi(argv[2]); i > 0; i--) {
			CHECK(write(fds[0], text, 256));
			CHECK(read(fds[1], space, 256));
		}
		return 0;
	}
	all_calls("tcp v4", tcp_pair(AF_INET, AF_INET), 1);
	all_calls("tcp v6", tcp_pair(AF_INET6, AF_INET6), 1);
	all_calls("tcp v4-mapped", tcp_pair(AF_INET6, AF_INET), 1);
	all_calls("unix", unix_pair("/tmp/iocalls.sock", 0), 0);
	all_calls("unix abstract", unix_pair("iocalls", 1), 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	p = (struct pair){ fds[0], fds[1] };
	all_calls("socketpair", p, 0);
	printf("-- frames\n");
	frame_calls(tcp_pair(AF_INET, AF_INET));
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	frame_calls((struct pair){ fds[0], fds[1] });
	printf("-- processes\n");
	processes();
	printf("-- nonblocking connect\n");
	nonblocking_connect();
	not_streams();
	return 0;
}

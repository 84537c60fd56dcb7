// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../user/probe/inspector.h"

static int listening(struct sockaddr *a, socklen_t len)
{
	int fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && (bind(fd, a, len) || listen(fd, 1) || getsockname(fd, a, &len))) {
		close(fd);
		return -1;
	}
	return fd;
}

static const struct listener *find(const struct listeners *l, int fd)
{
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].inode == st.st_ino)
			return &l->v[i];
	return NULL;
}

Test(listeners, are_found_by_inode_with_their_address_and_holder)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct listeners *l = calloc(1, sizeof(*l));
	char name[LISTENER_NAME_MAX], expected[LISTENER_NAME_MAX];
	int fd = listening((struct sockaddr *)&a, sizeof(a));

	cr_assert_geq(fd, 0);
	cr_assert_eq(listeners__read(getpid(), l), 0);
	const struct listener *found = find(l, fd);

	cr_assert_not_null(found);
	listener__name(found, name);
	snprintf(expected, sizeof(expected), "127.0.0.1:%u", ntohs(a.sin_port));
	cr_assert_str_eq(name, expected);
	cr_assert(listeners__holds(getpid(), found->inode));
	cr_assert_not(listeners__holds(getpid(), found->inode + 1000000));
	/* another process of the same namespace, to which it does not belong */
	int go[2];

	cr_assert_eq(pipe(go), 0);
	pid_t child = fork();

	if (child == 0) {
		char c;

		close(fd);
		close(go[1]);
		if (write(1, "", 0) == 0 && read(go[0], &c, 1) == 0)
			_exit(0);
		_exit(1);
	}
	close(go[0]);
	struct listeners *theirs = calloc(1, sizeof(*theirs));

	/* it may not have come to its close() yet: then its descriptor still is the parent's */
	for (int i = 0; i < 1000 && listeners__holds(child, found->inode); i++)
		usleep(10000);
	cr_expect_not(listeners__holds(child, found->inode));
	cr_expect_eq(listeners__read(child, theirs), 0);
	cr_expect_not_null(find(theirs, fd));
	close(go[1]);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	close(fd);
	cr_assert_eq(listeners__read(getpid(), l), 0);
	free(theirs);
	free(l);
}

Test(listeners, say_the_loopback_address_for_any)
{
	struct listener l = { .port = 9229, .v6 = true };
	char name[LISTENER_NAME_MAX];

	listener__name(&l, name);
	cr_assert_str_eq(name, "[::1]:9229");
	l.v6 = false;
	listener__name(&l, name);
	cr_assert_str_eq(name, "127.0.0.1:9229");
	l.ip[0] = 10;
	l.ip[3] = 7;
	listener__name(&l, name);
	cr_assert_str_eq(name, "10.0.0.7:9229");
}

Test(listeners, of_nobody_are_an_error)
{
	struct listeners *l = calloc(1, sizeof(*l));

	cr_assert_lt(listeners__read(0x7ffffff0, l), 0);
	cr_assert_not(listeners__holds(0x7ffffff0, 1));
	free(l);
}

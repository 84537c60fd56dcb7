/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Uses hiredis's blocking interface: hiredis_calls PORT. Connects, says "ready", begins when a line
 * came on stdin, and prints its local port.
 */
#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

static redisContext *c;

static void require(int right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "hiredis_calls: %s: %s\n", what, c ? c->errstr : "");
	exit(1);
}

static void took(void *reply, int type, const char *what)
{
	require(reply && ((redisReply *)reply)->type == type, what);
	freeReplyObject(reply);
}

int main(int argc, char **argv)
{
	const char *words[] = { "LPUSH", "list", "secret 4242" };
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	char line[16];
	void *reply;

	if (argc != 2)
		return 2;
	c = redisConnect("127.0.0.1", atoi(argv[1]));
	require(c && !c->err, "redisConnect");
	printf("ready\n");
	fflush(stdout);
	require(!!fgets(line, sizeof(line), stdin), "stdin");
	took(redisCommand(c, "SET %s %s", "key", "secret 4242"), REDIS_REPLY_STATUS, "SET");
	took(redisCommand(c, "GET %b", "key", (size_t)3), REDIS_REPLY_STRING, "GET");
	took(redisCommand(c, "INCRBY key 5"), REDIS_REPLY_ERROR, "INCRBY");
	took(redisCommandArgv(c, 3, words, NULL), REDIS_REPLY_INTEGER, "LPUSH");
	/* several at a time: the library's calls only put them into its buffer */
	for (int i = 0; i < 3; i++)
		require(!redisAppendCommand(c, "ECHO %d", 4242), "redisAppendCommand");
	for (int i = 0; i < 3; i++) {
		require(!redisGetReply(c, &reply), "redisGetReply");
		took(reply, REDIS_REPLY_STRING, "ECHO");
	}
	require(!getsockname(c->fd, (struct sockaddr *)&a, &len), "getsockname");
	printf("[%d]\n", ntohs(a.sin_port));
	redisFree(c);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The inspector speaks HTTP, which says under which name its WebSocket is (/json/list), and on that
 * the Chrome DevTools Protocol: JSON-RPC, of which we need one method, Runtime.evaluate.
 */
#include "inspector.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <libwebsockets.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/libcurl.h"
#include "../lib/on_demand.h"
#include "sonames.h"

#define TIMEOUT_MS 10000 /* of each step; a busy or slow machine takes its time */
#define ANSWER_MAX (256u << 10)
#define MS_NS 1000000ull

#define LWS_FUNCTIONS(F)                                                                           \
	F(create_context)                                                                          \
	F(context_destroy)                                                                         \
	F(context_user)                                                                            \
	F(get_context)                                                                             \
	F(set_log_level)                                                                           \
	F(client_connect_via_info)                                                                 \
	F(service)                                                                                 \
	F(cancel_service)                                                                          \
	F(write)                                                                                   \
	F(callback_on_writable)                                                                    \
	F(is_final_fragment)                                                                       \
	F(remaining_packet_payload)

/* libwebsockets: lws.write() is lws_write(). */
static struct {
#define LWS_MEMBER(f) typeof(lws_##f) *(f);
	LWS_FUNCTIONS(LWS_MEMBER)
} lws;

static const char *const lws_names[] = {
#define LWS_NAME(f) "lws_" #f,
	LWS_FUNCTIONS(LWS_NAME)
};

/* ---- its network namespace ---- */

/* Enters it, if it is another. Returns a descriptor of the one to go back to, -1: stayed. */
static int enter_netns(pid_t pid, int *back)
{
	char path[32];
	struct stat here, there;

	*back = -1;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	if (stat(path, &there) || stat("/proc/thread-self/ns/net", &here))
		return -errno;
	if (here.st_ino == there.st_ino && here.st_dev == there.st_dev)
		return 0;
	int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int other = open(path, O_RDONLY | O_CLOEXEC);
	int err = own < 0 || other < 0 || setns(other, CLONE_NEWNET) ? -errno : 0;

	if (other >= 0)
		close(other);
	if (!err)
		*back = own;
	else if (own >= 0)
		close(own);
	return err;
}

static void leave_netns(int back)
{
	if (back < 0)
		return;
	/* it can't fail: it was ours before */
	(void)setns(back, CLONE_NEWNET);
	close(back);
}

/* ---- what grows as it comes, up to a limit ---- */

struct text {
	char *p; /* NUL-terminated once there is any */
	size_t n;
};

static bool text__add(struct text *t, const void *p, size_t n)
{
	char *more = t->n + n < ANSWER_MAX ? realloc(t->p, t->n + n + 1) : NULL;

	if (!more)
		return false;
	memcpy(more + t->n, p, n);
	t->p = more;
	t->n += n;
	more[t->n] = '\0';
	return true;
}

/* ---- HTTP: the WebSocket's name ---- */

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
	return text__add(ctx, p, size * n) ? size * n : 0;
}

static int get(const char *url, struct text *body, char *why, size_t why_len)
{
	CURL *c = curl.easy_init();

	if (!c)
		return -ENOMEM;
	curl.easy_setopt(c, CURLOPT_URL, url);
	curl.easy_setopt(c, CURLOPT_NOPROXY, "*");
	curl.easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl.easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
	curl.easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl.easy_setopt(c, CURLOPT_WRITEDATA, body);
	CURLcode err = curl.easy_perform(c);

	curl.easy_cleanup(c);
	if (err == CURLE_OK)
		return 0;
	snprintf(why, why_len, "its inspector does not answer: %s", curl.easy_strerror(err));
	return -EIO;
}

/* "/0f2c936f-b1cd-4ac9-aab3-f63b0f33d55e", malloc'ed; NULL: it says none. */
static char *path_of(const struct text *body)
{
	json_t *list = json_loadb(body->p ? body->p : "", body->n, 0, NULL);
	const char *url = json_string_value(
		json_object_get(json_array_get(list, 0), "webSocketDebuggerUrl"));
	const char *host = url ? strstr(url, "://") : NULL;
	const char *path = host ? strchr(host + 3, '/') : NULL;
	char *found = path ? strdup(path) : NULL;

	json_decref(list);
	return found;
}

/* ---- WebSocket: one question, one answer ---- */

struct talk {
	char *question; /* LWS_PRE bytes before it are ours to use */
	size_t len;
	struct text answer;
	bool asked, ended;
	bool whole; /* the answer is */
};

static int on_talk(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		   size_t len)
{
	struct talk *t = lws.context_user(lws.get_context(wsi));

	(void)user;
	switch (reason) {
	case LWS_CALLBACK_CLIENT_ESTABLISHED: lws.callback_on_writable(wsi); break;
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		if (t->asked)
			break;
		t->asked = true;
		if (lws.write(wsi, (unsigned char *)t->question, t->len, LWS_WRITE_TEXT) < 0)
			return -1;
		break;
	case LWS_CALLBACK_CLIENT_RECEIVE:
		if (!text__add(&t->answer, in, len))
			return -1;
		if (lws.is_final_fragment(wsi) && !lws.remaining_packet_payload(wsi)) {
			t->whole = true;
			return -1; /* closes */
		}
		break;
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
	case LWS_CALLBACK_CLIENT_CLOSED: t->ended = true; break;
	default: break;
	}
	return 0;
}

static const struct lws_protocols protocols[] = {
	{ .name = "inspector", .callback = on_talk, .rx_buffer_size = 65536 },
	{ 0 },
};

/* The question: Runtime.evaluate, with `require` and the like at hand. */
static int ask(struct talk *t, const char *script)
{
	json_t *q = json_pack("{s:i, s:s, s:{s:s, s:b, s:b, s:b}}", "id", 1, "method",
			      "Runtime.evaluate", "params", "expression", script,
			      "includeCommandLineAPI", 1, "silent", 1, "returnByValue", 1);
	char *text = q ? json_dumps(q, JSON_COMPACT) : NULL;

	json_decref(q);
	if (!text)
		return -ENOMEM;
	t->len = strlen(text);
	t->question = malloc(LWS_PRE + t->len);
	if (t->question) {
		t->question += LWS_PRE;
		memcpy(t->question, text, t->len);
	}
	free(text);
	return t->question ? 0 : -ENOMEM;
}

static void talk(struct talk *t, const struct listener *at, const char *name, const char *path)
{
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.protocols = protocols,
		.gid = -1,
		.uid = -1,
		.user = t,
	};
	char host[LISTENER_NAME_MAX];
	bool v6 = name[0] == '[';

	/* without the port, and an IPv6 address without its brackets */
	snprintf(host, sizeof(host), "%.*s", (int)strcspn(name + v6, v6 ? "]" : ":"), name + v6);
	lws.set_log_level(0, NULL);
	struct lws_context *context = lws.create_context(&info);

	if (!context)
		return;
	struct lws_client_connect_info connect = {
		.context = context,
		.address = host,
		.port = at->port,
		.path = path,
		.host = name,
		.local_protocol_name = protocols[0].name,
	};
	uint64_t until = clock__boottime() + TIMEOUT_MS * MS_NS;

	t->ended = !lws.client_connect_via_info(&connect);
	while (!t->ended && clock__boottime() < until) {
		/* so that the loop sees the time: this version sleeps until there is something to do */
		lws.cancel_service(context);
		(void)lws.service(context, 0);
		clock__sleep_ms(2);
	}
	lws.context_destroy(context);
}

/* What Runtime.evaluate returned. */
static int understand(const struct text *answer, char *said, size_t said_len, char *why,
		      size_t why_len)
{
	json_t *a = json_loadb(answer->p, answer->n, 0, NULL);
	json_t *result = json_object_get(a, "result");
	json_t *thrown = json_object_get(json_object_get(result, "exceptionDetails"), "exception");
	const char *value = json_string_value(
		json_object_get(json_object_get(result, "result"), "value"));
	const char *what = json_string_value(json_object_get(thrown, "description"));
	int err = value ? 0 : -EPROTO;

	if (value)
		snprintf(said, said_len, "%s", value);
	else
		snprintf(why, why_len, "the script failed in it: %.*s",
			 what ? (int)strcspn(what, "\n") : 10, what ? what : "no result");
	json_decref(a);
	return err;
}

static int run(const struct listener *at, const char *script, char *said, size_t said_len,
	       char *why, size_t why_len)
{
	char name[LISTENER_NAME_MAX], url[LISTENER_NAME_MAX + 24];
	struct text list = { 0 };
	struct talk t = { 0 };

	listener__name(at, name);
	snprintf(url, sizeof(url), "http://%s/json/list", name);
	int err = get(url, &list, why, why_len);
	char *path = err ? NULL : path_of(&list);

	free(list.p);
	if (!err && !path) {
		snprintf(why, why_len, "its inspector does not say where its WebSocket is");
		err = -EPROTO;
	}
	if (!err)
		err = ask(&t, script);
	if (!err)
		talk(&t, at, name, path);
	free(path);
	if (!err && !t.whole) {
		snprintf(why, why_len, "its inspector did not run the script within %d s",
			 TIMEOUT_MS / 1000);
		err = -ETIMEDOUT;
	}
	if (!err)
		err = understand(&t.answer, said, said_len, why, why_len);
	free(t.answer.p);
	if (t.question)
		free(t.question - LWS_PRE);
	return err;
}

int inspector__load(char *why, size_t why_len)
{
	static struct on_demand library = ON_DEMAND(SONAME_websockets, lws, lws_names);
	int err = libcurl__load(why, why_len);

	return err ? err : on_demand__load(&library, why, why_len);
}

int inspector__run(pid_t pid, const struct listener *at, const char *script, char *said,
		   size_t said_len, char *why, size_t why_len)
{
	int back, err = enter_netns(pid, &back);

	if (err) {
		snprintf(why, why_len, "its network namespace can't be entered: %s",
			 strerror(-err));
		return err;
	}
	err = run(at, script, said, said_len, why, why_len);
	leave_netns(back);
	if (err && !why[0])
		snprintf(why, why_len, "%s", strerror(-err));
	return err;
}

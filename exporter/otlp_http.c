// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * OTLP over HTTP: one POST a batch, on one connection that stays open.
 *
 * libcurl is driven through its multi interface although there is only one transfer, because that
 * is the one that can be left at an exact time and woken from another thread (curl_multi_wakeup):
 * weft must end in bounded time whatever the receiver does. Which failures may be retried follows
 * the OTLP specification: 429, 502, 503, 504, and no answer.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../user/lib/clock.h"
#include "../user/lib/libcurl.h"
#include "../user/lib/log.h"
#include "env.h"
#include "exporter.h"
#include "gzip.h"
#include "otlp.h"

/* Limits of the OTLP specification. */
#define REQUEST_MAX (64u << 20)
#define RESPONSE_MAX (4u << 20)
#define RESPONSE_HEADERS_MAX (256u << 10)
/* An honest answer is far smaller; decoding a hostile one of 4 MiB would take a hundred. */
#define RESPONSE_DECODE_MAX (256u << 10)

struct response {
	uint8_t *p;
	size_t n, cap;
	size_t header_bytes;
	bool too_large;
};

struct otlp_http {
	struct otlp_settings settings;
	CURLM *multi;
	CURL *easy;
	struct curl_slist *headers;
	struct gzip *gzip; /* NULL: bodies are sent as they are */
	struct response response;
	char error[CURL_ERROR_SIZE];
	_Atomic int64_t deadline_ns; /* from hurry() */
};

/* ---- curl's callbacks ---- */

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct response *r = ctx;

	n *= size;
	if (n > RESPONSE_MAX - r->n) {
		r->too_large = true;
		return 0;
	}
	if (n > r->cap - r->n) {
		size_t cap = 2 * (r->n + n);
		uint8_t *p = realloc(r->p, cap);

		if (!p)
			return 0;
		r->p = p;
		r->cap = cap;
	}
	memcpy(r->p + r->n, data, n);
	r->n += n;
	return n;
}

static size_t on_header(const char *data, size_t size, size_t n, void *ctx)
{
	struct response *r = ctx;

	(void)data;
	r->header_bytes += n * size;
	if (r->header_bytes > RESPONSE_HEADERS_MAX) {
		r->too_large = true;
		return 0;
	}
	return n * size;
}

/* ---- open, close ---- */

static int add_header(struct otlp_http *h, const char *line)
{
	struct curl_slist *longer = curl.slist_append(h->headers, line);

	if (!longer)
		return -ENOMEM;
	h->headers = longer;
	return 0;
}

static int set_headers(struct otlp_http *h)
{
	const struct otlp_settings *s = &h->settings;
	int err = add_header(h, s->encoding == OTLP_JSON ? "Content-Type: application/json"
							 : "Content-Type: application/x-protobuf");

	if (!err && h->gzip)
		err = add_header(h, "Content-Encoding: gzip");
	if (!err)
		err = add_header(h, "Expect:"); /* no 100-continue: it costs a round trip a batch */
	for (size_t i = 0; !err && i < s->n_headers; i++)
		err = add_header(h, s->headers[i]);
	return err;
}

static void set_transport(struct otlp_http *h, const char *version)
{
	const struct otlp_settings *s = &h->settings;
	char agent[128];

	snprintf(agent, sizeof(agent), "weft/%s OTel-OTLP-Exporter-C/%s", version, version);
	curl.easy_setopt(h->easy, CURLOPT_URL, s->url);
	curl.easy_setopt(h->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl.easy_setopt(h->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl.easy_setopt(h->easy, CURLOPT_NOSIGNAL, 1L);
	/* Without this, leaving a transfer that still resolves a name waits for the resolver. */
	curl.easy_setopt(h->easy, CURLOPT_QUICK_EXIT, 1L);
	curl.easy_setopt(h->easy, CURLOPT_USERAGENT, agent);
	curl.easy_setopt(h->easy, CURLOPT_POST, 1L);
	curl.easy_setopt(h->easy, CURLOPT_HTTPHEADER, h->headers);
	curl.easy_setopt(h->easy, CURLOPT_ERRORBUFFER, h->error);
	curl.easy_setopt(h->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl.easy_setopt(h->easy, CURLOPT_WRITEDATA, &h->response);
	curl.easy_setopt(h->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl.easy_setopt(h->easy, CURLOPT_HEADERDATA, &h->response);
	if (s->ca_file)
		curl.easy_setopt(h->easy, CURLOPT_CAINFO, s->ca_file);
	if (s->client_key_file)
		curl.easy_setopt(h->easy, CURLOPT_SSLKEY, s->client_key_file);
	if (s->client_cert_file)
		curl.easy_setopt(h->easy, CURLOPT_SSLCERT, s->client_cert_file);
}

static void otlp_http__close(void *state)
{
	struct otlp_http *h = state;

	if (h->easy)
		curl.easy_cleanup(h->easy);
	if (h->multi)
		curl.multi_cleanup(h->multi);
	if (h->headers)
		curl.slist_free_all(h->headers);
	gzip__free(h->gzip);
	free(h->response.p);
	otlp_settings__free(&h->settings);
	free(h);
}

static int set_up(struct otlp_http *h, const char *version)
{
	char why[256];

	if (h->settings.gzip) {
		h->gzip = gzip__new(why, sizeof(why));
		if (!h->gzip)
			log_warn("spans are sent uncompressed: %s", why);
	}
	h->multi = curl.multi_init();
	h->easy = curl.easy_init();
	if (!h->multi || !h->easy || set_headers(h) < 0)
		return -ENOMEM;
	set_transport(h, version);
	return 0;
}

static int otlp_http__open(const struct exporter_config *cfg, void **state, char *why,
			   size_t why_len)
{
	struct otlp_http *h = calloc(1, sizeof(*h));

	if (!h) {
		snprintf(why, why_len, "out of memory");
		return -ENOMEM;
	}
	atomic_init(&h->deadline_ns, INT64_MAX);
	int err = otlp_settings__read(cfg, &h->settings, why, why_len);

	if (err > 0 && set_up(h, cfg->version) < 0) {
		snprintf(why, why_len, "out of memory");
		err = -ENOMEM;
	}
	if (err <= 0) {
		otlp_http__close(h);
		return err;
	}
	*state = h;
	return 1;
}

static void otlp_http__hurry(void *state, int64_t deadline_ns)
{
	struct otlp_http *h = state;

	atomic_store(&h->deadline_ns, deadline_ns);
	curl.multi_wakeup(h->multi);
}

/* ---- the request ---- */

/* One line for people, cut where it is too long. */
static void __attribute__((format(printf, 2, 3))) say(struct export_answer *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(a->why, sizeof(a->why), fmt, ap);
	va_end(ap);
}

/* What is sent: bytes [at, at + mem.n) of what was allocated. */
struct body {
	struct bytes mem;
	size_t at;
};

/* *body becomes its gzip form. */
static int compress_body(struct otlp_http *h, struct body *body)
{
	size_t bound = gzip__bound(body->mem.n);
	struct bytes packed = { .p = malloc(bound) };

	if (!packed.p)
		return -ENOMEM;
	int err = gzip__pack(h->gzip, body->mem.p + body->at, body->mem.n, packed.p, bound,
			     &packed.n);

	if (err) {
		free(packed.p);
		return err;
	}
	free(body->mem.p);
	*body = (struct body){ .mem = packed };
	return 0;
}

/* True: *body is ready to be sent. False: *a says why not. */
static bool make_body(struct otlp_http *h, struct span *const *spans, size_t n, struct body *body,
		      struct export_answer *a)
{
	int err = h->settings.encoding == OTLP_JSON
			  ? otlp__encode_json(spans, n, &body->mem)
			  : otlp__encode_protobuf_at(spans, n, &body->mem, &body->at);

	if (!err && body->mem.n > REQUEST_MAX) {
		a->result = n > 1 ? EXPORT_SPLIT : EXPORT_REFUSED;
		say(a, "a request of %zu bytes is larger than OTLP allows", body->mem.n);
		return false;
	}
	if (!err && h->gzip)
		err = compress_body(h, body);
	if (err) {
		a->result = EXPORT_RETRY;
		say(a, "encoding %zu spans: %s", n, strerror(-err));
		return false;
	}
	return true;
}

/* The transfer's end: true, *code is set. False: the deadline came first. */
static bool run(struct otlp_http *h, int64_t deadline, CURLcode *code)
{
	for (;;) {
		int running, left;
		CURLMcode err = curl.multi_perform(h->multi, &running);
		CURLMsg *m;

		while (!err && (m = curl.multi_info_read(h->multi, &left)))
			if (m->msg == CURLMSG_DONE) {
				*code = m->data.result;
				return true;
			}
		if (err) {
			*code = CURLE_FAILED_INIT;
			return true;
		}
		int64_t until = atomic_load(&h->deadline_ns);
		int64_t left_ns = (until < deadline ? until : deadline) - clock__monotonic();

		if (left_ns <= 0)
			return false;
		/* A wake-up only makes the loop look at the deadline again. */
		curl.multi_poll(h->multi, NULL, 0,
				left_ns > 1000000000 ? 1000 : (int)(left_ns / 1000000) + 1, NULL);
	}
}

/* ---- the answer ---- */

static bool worth_another_try(CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_PARTIAL_FILE:
	case CURLE_OUT_OF_MEMORY:
	case CURLE_PROXY: return true;
	default: return false;
	}
}

static void judge_failure(struct otlp_http *h, CURLcode code, struct export_answer *a)
{
	const char *url = h->settings.shown_url;

	a->result = worth_another_try(code) ? EXPORT_RETRY : EXPORT_REFUSED;
	if (h->response.too_large)
		say(a, "%s: its answer is larger than %u MiB", url, RESPONSE_MAX >> 20);
	else if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY)
		say(a, "%s: its answer is not HTTP (a gRPC port? OTLP/HTTP usually is on 4318)",
		    url);
	else
		say(a, "%s: %s", url, h->error[0] ? h->error : curl.easy_strerror(code));
}

static bool answer_is_json(struct otlp_http *h)
{
	char *type = NULL;

	curl.easy_getinfo(h->easy, CURLINFO_CONTENT_TYPE, &type);
	return type && strncasecmp(type, "application/json", 16) == 0;
}

static void judge_success(struct otlp_http *h, size_t n, struct export_answer *a)
{
	const struct response *r = &h->response;
	struct otlp_answer answer = { 0 };
	int err = -EBADMSG;

	if (r->n <= RESPONSE_DECODE_MAX)
		err = answer_is_json(h) ? otlp__decode_answer_json(r->p, r->n, &answer)
					: otlp__decode_answer_protobuf(r->p, r->n, &answer);
	a->result = EXPORT_OK;
	if (r->n && err)
		say(a, "%s: it accepted the spans with an answer that is not OTLP",
		    h->settings.shown_url);
	if (answer.rejected > 0)
		a->rejected = (uint64_t)answer.rejected < n ? (uint64_t)answer.rejected : n;
	if (a->rejected)
		say(a, "the receiver rejected %llu of %zu spans: %s",
		    (unsigned long long)a->rejected, n, answer.message);
	else if (answer.message[0])
		say(a, "the receiver says: %s", answer.message);
}

/* What the receiver says of its refusal, for people. */
static void describe_refusal(struct otlp_http *h, struct otlp_answer *answer)
{
	const struct response *r = &h->response;
	char *type = NULL;

	curl.easy_getinfo(h->easy, CURLINFO_CONTENT_TYPE, &type);
	if (r->n > RESPONSE_DECODE_MAX)
		return;
	if (answer_is_json(h))
		otlp__decode_status_json(r->p, r->n, answer);
	else if (type && strncasecmp(type, "application/x-protobuf", 22) == 0)
		otlp__decode_status_protobuf(r->p, r->n, answer);
	else if (type && strncasecmp(type, "text/plain", 10) == 0)
		otlp_answer__set_message(answer, r->p, r->n);
}

static void judge_status(struct otlp_http *h, long status, size_t n, struct export_answer *a)
{
	struct otlp_answer answer = { 0 };
	curl_off_t retry_after = 0;

	if (status >= 200 && status < 300) {
		judge_success(h, n, a);
		return;
	}
	bool retry = status == 429 || status == 502 || status == 503 || status == 504;

	a->result = retry ? EXPORT_RETRY : EXPORT_REFUSED;
	/* curl reads both forms, seconds and a date; what it can't read is 0. */
	curl.easy_getinfo(h->easy, CURLINFO_RETRY_AFTER, &retry_after);
	if (retry && retry_after > 0)
		a->retry_after_ms = retry_after < INT32_MAX ? retry_after * 1000
							    : (int64_t)INT32_MAX * 1000;
	describe_refusal(h, &answer);
	say(a, "%s: HTTP status %ld%s%s", h->settings.shown_url, status,
	    answer.message[0] ? ": " : "", answer.message);
}

static void otlp_http__send(void *state, struct span *const *spans, size_t n, int64_t timeout_ms,
			    struct export_answer *a)
{
	struct otlp_http *h = state;
	int64_t limit_ms = timeout_ms < h->settings.timeout_ms ? timeout_ms
							       : h->settings.timeout_ms;
	int64_t start = clock__monotonic();
	struct body body = { .at = 0 };
	CURLcode code = CURLE_OK;
	long status = 0;

	*a = (struct export_answer){ .retry_after_ms = -1 };
	if (!make_body(h, spans, n, &body, a)) {
		free(body.mem.p);
		return;
	}
	h->response.n = 0;
	h->response.header_bytes = 0;
	h->response.too_large = false;
	h->error[0] = '\0';
	curl.easy_setopt(h->easy, CURLOPT_POSTFIELDS, body.mem.p + body.at);
	curl.easy_setopt(h->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.mem.n);
	curl.multi_add_handle(h->multi, h->easy);
	bool ended = run(h, limit_ms < INT32_MAX ? start + limit_ms * 1000000 : INT64_MAX, &code);

	curl.multi_remove_handle(h->multi,
				 h->easy); /* closes the connection if the transfer has not ended */
	curl.easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
	if (!ended) {
		a->result = EXPORT_RETRY;
		say(a, "%s: no answer within %lld ms", h->settings.shown_url,
		    (long long)((clock__monotonic() - start) / 1000000));
	} else if (code != CURLE_OK) {
		judge_failure(h, code, a);
	} else {
		judge_status(h, status, n, a);
	}
	curl.easy_setopt(h->easy, CURLOPT_POSTFIELDS, NULL);
	free(body.mem.p);
}

const struct exporter otlp_http_exporter = {
	.name = "otlp-http",
	.open = otlp_http__open,
	.send = otlp_http__send,
	.hurry = otlp_http__hurry,
	.close = otlp_http__close,
};

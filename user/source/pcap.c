// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Packet captures as a source. libpcap reads the file (pcap in micro- and nanoseconds, pcapng),
 * packet.c finds the TCP segment in a packet, flows.c the connection of a segment; here the records
 * are made.
 *
 * One record at a time is built in a scratch buffer and handed over. A packet may give many: its
 * connection opens, its bytes in pieces of at most WEFT_HEAD_MAX (segmentation offload lets packets
 * of 64 KiB and more into captures), ends. What is under way is in `seg` (the bytes still to be
 * told) and in flows.c (the steps still to be taken), so poll() can stop after any record.
 * libpcap's packet buffer stays as it is until the next packet is read.
 */
#include <errno.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/on_demand.h"
#include "file.h"
#include "flows.h"
#include "packet.h"
#include "record.h"
#include "sonames.h"

/*
 * Packets without any record that one poll() reads at most, so that its caller sees a signal in
 * time.
 */
#define PACKETS_A_POLL 65536

#define NS_PER_S 1000000000ull

#define PCAP_FUNCTIONS(F)                                                                          \
	F(fopen_offline_with_tstamp_precision)                                                     \
	F(datalink)                                                                                \
	F(datalink_val_to_name)                                                                    \
	F(next_ex)                                                                                 \
	F(file)                                                                                    \
	F(geterr)                                                                                  \
	F(close)

/* libpcap.close() is pcap_close(). */
static struct {
#define PCAP_MEMBER(f) typeof(pcap_##f) *(f);
	PCAP_FUNCTIONS(PCAP_MEMBER)
} libpcap;

static const char *const pcap_names[] = {
#define PCAP_NAME(f) "pcap_" #f,
	PCAP_FUNCTIONS(PCAP_NAME)
};

struct pcap_source {
	struct source base;
	struct input *in;
	pcap_t *pcap;
	int link;
	struct flows *flows;
	struct segment seg; /* of the packet under way */
	bool pending;       /* seg was read, and waits for overdue ends of others */
	bool pieces;        /* bytes of seg are being told: those from piece_dir, piece_conn */
	uint8_t piece_dir;
	uint64_t piece_conn;
	bool clock_told;
	uint64_t now; /* the packet's time, Unix ns */
	int over;     /* no more packets; what poll() returns in the end */
	_Alignas(8) uint8_t scratch[sizeof(struct weft_data) + WEFT_HEAD_MAX];
};

_Static_assert(sizeof(struct weft_open) <= sizeof(struct weft_data) + WEFT_HEAD_MAX, "scratch");
_Static_assert(WEFT_HEAD_MAX % 8 == 0, "scratch");

static const char *const skip_reasons[CAPTURE_SKIPS] = {
	[CAPTURE_NOT_IP] = "not IP",
	[CAPTURE_NOT_TCP] = "not TCP",
	[CAPTURE_FRAGMENT] = "later fragment of an IP packet",
	[CAPTURE_CUT] = "cut before the end of its TCP header",
	[CAPTURE_MALFORMED] = "malformed",
	[CAPTURE_LATE] = "bytes after the connection's end",
	[CAPTURE_NO_MEMORY] = "out of memory",
	[CAPTURE_IDLE] = "idle connection given up",
};

const char *capture__skip_reason(enum capture_skip why)
{
	return why < CAPTURE_SKIPS ? skip_reasons[why] : NULL;
}

/* Records */

static void *scratch_record(struct pcap_source *p, enum weft_kind kind, uint64_t conn, size_t size)
{
	struct weft_event *h = (void *)p->scratch;

	memset(p->scratch, 0, size);
	h->size = (uint32_t)size;
	h->kind = (uint8_t)kind;
	h->ts = p->now;
	h->conn = conn;
	return h;
}

static void make_clock(struct pcap_source *p)
{
	/* Times are Unix ns already: the offset is 0. */
	scratch_record(p, (enum weft_kind)RECORD_CLOCK, 0, sizeof(struct record_clock));
	p->clock_told = true;
}

static void make_open(struct pcap_source *p, const struct flow_step *step)
{
	struct weft_open *o = scratch_record(p, WEFT_EV_OPEN, step->conn, sizeof(*o));

	o->h.flags = WEFT_F_THIRD_PARTY | (step->preopen ? WEFT_F_PREOPEN : 0) |
		     (step->pos_known ? WEFT_F_POS : 0);
	memcpy(o->pos, step->pos, sizeof(o->pos));
	o->sock = step->conn;
	o->start_ts = step->start;
	o->local = *step->client;
	o->remote = *step->server;
	o->role = WEFT_ROLE_CLIENT;
}

/* The next piece of seg. The last one has the true length of what was not captured, too. */
static void make_piece(struct pcap_source *p)
{
	struct segment *s = &p->seg;
	uint32_t head = s->captured < WEFT_HEAD_MAX ? s->captured : WEFT_HEAD_MAX;
	uint32_t len = s->captured > WEFT_HEAD_MAX ? head : s->len;
	struct weft_data *d = scratch_record(p, WEFT_EV_DATA, p->piece_conn,
					     sizeof(*d) + ((head + 7u) & ~7u));

	d->off = s->seq;
	d->len = len;
	d->head = (uint16_t)head;
	d->dir = p->piece_dir;
	if (head)
		memcpy(d->bytes, s->payload, head);
	s->payload += head;
	s->captured -= head;
	s->seq += len;
	s->len -= len;
	p->pieces = s->len != 0;
}

static void make_mark(struct pcap_source *p, const struct flow_step *step)
{
	struct weft_data *d = scratch_record(p, step->kind, step->conn, sizeof(*d));

	d->dir = (uint8_t)step->dir;
	d->off = step->off;
}

/* Builds the next record of what is under way; false if there is none. */
static bool make_record(struct pcap_source *p)
{
	struct flow_step step;

	if (p->pieces) {
		make_piece(p);
		return true;
	}
	if (!flows__step(p->flows, &step))
		return false;
	if (step.kind == WEFT_EV_OPEN) {
		make_open(p, &step);
	} else if (step.kind == WEFT_EV_DATA) {
		p->piece_conn = step.conn;
		p->piece_dir = (uint8_t)step.dir;
		make_piece(p);
	} else {
		make_mark(p, &step);
	}
	return true;
}

/* Packets */

/* With nanosecond precision libpcap puts nanoseconds where the microseconds were. */
static uint64_t packet_time(const struct pcap_pkthdr *h)
{
	uint64_t s = h->ts.tv_sec < 0 ? 0 : (uint64_t)h->ts.tv_sec;
	uint64_t ns = h->ts.tv_usec < 0 ? 0 : (uint64_t)h->ts.tv_usec;

	return s > INT64_MAX / NS_PER_S - 1 ? INT64_MAX : s * NS_PER_S + ns % NS_PER_S;
}

/*
 * Out of packets. libpcap does not tell a file that breaks off (a capture that was killed) from a
 * damaged one; but it stops at damage, while in the other case it wanted bytes beyond the end.
 */
static void no_more(struct pcap_source *p, int got)
{
	struct source *s = &p->base;
	unsigned long long n = (unsigned long long)s->packets + 1;

	p->over = -ENODATA;
	if (got == PCAP_ERROR_BREAK)
		return;
	if (p->in->error) {
		snprintf(s->error, sizeof(s->error), "can't read on at packet %llu: %s", n,
			 strerror(p->in->error));
		p->over = -p->in->error;
	} else if (feof(libpcap.file(p->pcap))) {
		snprintf(s->error, sizeof(s->error),
			 "ends in the middle of packet %llu: replayed up to there", n);
	} else {
		s->malformed++;
		snprintf(s->error, sizeof(s->error),
			 "damaged at packet %llu: %.120s; the rest is not replayed", n,
			 libpcap.geterr(p->pcap));
		p->over = -EBADMSG;
	}
}

/* Reads packets until one has a segment. False: none now, or none any more (p->over). */
static bool next_segment(struct pcap_source *p, int *budget)
{
	while ((*budget)-- > 0 && input__ready(p->in)) {
		struct pcap_pkthdr *h;
		const uint8_t *data;
		enum capture_skip why;
		int got = libpcap.next_ex(p->pcap, &h, &data);

		if (got != 1) {
			no_more(p, got);
			return false;
		}
		p->base.packets++;
		p->now = packet_time(h);
		if (packet__decode(p->link, data, h->caplen, h->len, &p->seg, &why))
			return true;
		p->base.skipped[why]++;
	}
	return false;
}

/* Nothing is under way: take the next step of the capture. False: nothing to do now, or the end. */
static bool advance(struct pcap_source *p, int *budget)
{
	if (p->over)
		return flows__finish(p->flows);
	if (!p->pending) {
		if (!next_segment(p, budget))
			return p->over != 0;
		p->pending = true;
		return true;
	}
	if (flows__overdue(p->flows, p->now))
		return true;
	flows__segment(p->flows, &p->seg, p->now);
	if (p->seg.flags & TCP_SYN)
		p->seg.seq++; /* bytes that come with a SYN follow it */
	p->pending = false;
	return true;
}

static int pcap_poll(struct source *s, source_handler fn, void *ctx, int max)
{
	struct pcap_source *p = (struct pcap_source *)s;
	int n = 0, budget = PACKETS_A_POLL;

	while (n < max) {
		if (!p->clock_told && (p->pending || p->over))
			make_clock(p);
		else if (!p->clock_told || !make_record(p)) {
			if (!advance(p, &budget))
				break;
			continue;
		}
		s->received++;
		n++;
		fn(ctx, (const struct weft_event *)p->scratch);
	}
	return n || !p->over ? n : p->over;
}

static void capture_close(struct source *s)
{
	struct pcap_source *p = (struct pcap_source *)s;

	if (p->flows)
		flows__free(p->flows);
	libpcap.close(p->pcap); /* closes the stream, and that the input */
	free(p);
}

static const struct source_ops capture_ops = { .poll = pcap_poll, .close = capture_close };

/*
 * libpcap reads from a stdio stream; ours is one over the input. Over a pipe it has no buffer of
 * its own: bytes in it would be invisible to input__ready(). glibc then takes every byte singly,
 * which is good enough for a pipe (30 MB/s) but not for files.
 */

static ssize_t stream_read(void *cookie, char *buf, size_t size)
{
	struct input *in = cookie;
	ssize_t have = input__need(in, 1);

	if (have < 0) {
		errno = in->error;
		return -1;
	}
	if ((size_t)have < size)
		size = (size_t)have;
	memcpy(buf, in->buf + in->pos, size);
	input__take(in, size);
	return (ssize_t)size;
}

static int stream_close(void *cookie)
{
	input__close(cookie);
	return 0;
}

static FILE *stream_over(struct input *in)
{
	FILE *f = fopencookie(in, "r",
			      (cookie_io_functions_t){ .read = stream_read,
						       .close = stream_close });

	if (!f)
		input__close(in);
	else if (in->waits)
		setvbuf(f, NULL, _IONBF, 0);
	else
		setvbuf(f, NULL, _IOFBF, 64 * 1024);
	return f;
}

static pcap_t *open_stream(struct input *in, const char *name, char *why, size_t why_len)
{
	char err[PCAP_ERRBUF_SIZE];
	FILE *f = stream_over(in);
	pcap_t *pcap;

	if (!f) {
		snprintf(why, why_len, "can't read %s: out of memory", name);
		return NULL;
	}
	pcap = libpcap.fopen_offline_with_tstamp_precision(f, PCAP_TSTAMP_PRECISION_NANO, err);
	if (!pcap) {
		snprintf(why, why_len,
			 "%s is neither a weft recording nor a packet capture "
			 "(pcap, pcapng) that can be read: %s",
			 name, err);
		fclose(f);
	}
	return pcap;
}

struct source *source__pcap(struct input *in, const char *name, char *why, size_t why_len)
{
	static struct on_demand library = ON_DEMAND(SONAME_pcap, libpcap, pcap_names);
	int missing = on_demand__load(&library, why, why_len);

	if (missing)
		input__close(in);
	pcap_t *pcap = missing ? NULL : open_stream(in, name, why, why_len);

	if (!pcap)
		return NULL;
	int link = libpcap.datalink(pcap);

	if (!packet__link_known(link)) {
		const char *link_name = libpcap.datalink_val_to_name(link);

		snprintf(why, why_len, "%s was captured on a link of type %s (%d); weft reads %s",
			 name, link_name ? link_name : "unknown", link, packet__links);
		libpcap.close(pcap);
		return NULL;
	}
	struct pcap_source *p = calloc(1, sizeof(*p));

	if (p)
		p->flows = flows__new(p->base.skipped);
	if (!p || !p->flows) {
		snprintf(why, why_len, "can't read %s: out of memory", name);
		free(p);
		libpcap.close(pcap);
		return NULL;
	}
	p->base.ops = &capture_ops;
	p->in = in;
	p->pcap = pcap;
	p->link = link;
	return &p->base;
}

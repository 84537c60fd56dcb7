// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From a captured packet to a TCP segment: link layer, VLAN tags, IPv4 and IPv6 with their options
 * and extension headers, the TCP header. Two lengths travel through all of it: what was captured,
 * and what was on the wire; a header must be captured, a payload need not be.
 */
#include "packet.h"

#include <netinet/in.h>
#include <pcap/dlt.h>
#include <string.h>
#include <sys/socket.h>

/* What is left of the packet. */
struct rest {
	const uint8_t *p;
	size_t have; /* captured */
	size_t wire; /* on the wire; less than have only in broken files */
};

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

static void skip(struct rest *r, size_t n)
{
	r->p += n;
	r->have -= n;
	r->wire = r->wire > n ? r->wire - n : 0;
}

static bool is_vlan(uint16_t type)
{
	return type == 0x8100 || type == 0x88a8 || type == 0x9100 || type == 0x9200;
}

/*
 * Network layer by Ethernet type, with any number of VLAN tags before it. Returns the IP version
 * that it promises, 0 for anything else.
 */
static int by_ether_type(struct rest *r, uint16_t type)
{
	while (is_vlan(type) && r->have >= 4) {
		type = be16(r->p + 2);
		skip(r, 4);
	}
	return type == 0x0800 ? 4 : type == 0x86dd ? 6 : 0;
}

static int link_ethernet(struct rest *r)
{
	if (r->have < 14)
		return -1;
	uint16_t type = be16(r->p + 12);

	skip(r, 14);
	return by_ether_type(r, type);
}

/* ARPHRD_NETLINK: the protocol field is a netlink family there, not an Ethernet type. */
#define HARDWARE_NETLINK 824

static int link_cooked(struct rest *r)
{
	if (r->have < 16)
		return -1;
	uint16_t type = be16(r->p + 14), hardware = be16(r->p + 2);

	skip(r, 16);
	return hardware == HARDWARE_NETLINK ? 0 : by_ether_type(r, type);
}

static int link_cooked2(struct rest *r)
{
	if (r->have < 20)
		return -1;
	uint16_t type = be16(r->p), hardware = be16(r->p + 8);

	skip(r, 20);
	return hardware == HARDWARE_NETLINK ? 0 : by_ether_type(r, type);
}

/*
 * An address family in the byte order of the machine that captured (DLT_NULL) or of the network
 * (DLT_LOOP): small numbers, so the order shows. AF_INET6 is 10 on Linux, 24, 28 or 30 on the BSDs
 * and macOS.
 */
static int link_loopback(struct rest *r)
{
	if (r->have < 4)
		return -1;
	uint32_t family = be32(r->p);

	if (family > 0xffff)
		family = __builtin_bswap32(family);
	skip(r, 4);
	switch (family) {
	case 2: return 4;
	case 10:
	case 24:
	case 28:
	case 30: return 6;
	default: return 0;
	}
}

static int link_raw(struct rest *r)
{
	return r->have < 1 ? -1 : r->p[0] >> 4 == 4 ? 4 : r->p[0] >> 4 == 6 ? 6 : 0;
}

/* Takes the link header off: IP version, 0 not IP, -1 cut. */
struct link {
	int dlt;
	int (*strip)(struct rest *r);
};

static const struct link links[] = {
	{ DLT_EN10MB, link_ethernet },    { DLT_LINUX_SLL, link_cooked },
	{ DLT_LINUX_SLL2, link_cooked2 }, { DLT_NULL, link_loopback },
	{ DLT_LOOP, link_loopback },      { DLT_RAW, link_raw },
	{ DLT_IPV4, link_raw },           { DLT_IPV6, link_raw },
};

const char packet__links[] = "Ethernet, Linux cooked, BSD loopback, raw IP";

static const struct link *link_find(int dlt)
{
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (links[i].dlt == dlt)
			return &links[i];
	return NULL;
}

bool packet__link_known(int link)
{
	return link_find(link) != NULL;
}

/* The layers above the link say what is wrong; no TCP segment is the one good answer. */
#define GOOD CAPTURE_SKIPS

/*
 * Cuts what follows the IP packet (Ethernet's padding), and says how long the packet claims to be.
 */
static void limit(struct rest *r, size_t total)
{
	r->wire = total;
	if (r->have > total)
		r->have = total;
}

static enum capture_skip ip4(struct rest *r, struct segment *s, bool *first_fragment)
{
	if (r->have < 20)
		return CAPTURE_CUT;
	const uint8_t *h = r->p;
	size_t header = (size_t)(h[0] & 15) * 4, total = be16(h + 2);
	uint16_t fragment = be16(h + 6);

	/*
	 * Taken on the sending host before segmentation offload: the length is not filled in yet,
	 * or does not fit.
	 */
	if (total == 0)
		total = r->wire;
	if (h[0] >> 4 != 4 || header < 20 || total < header)
		return CAPTURE_MALFORMED;
	if (h[9] != IPPROTO_TCP)
		return CAPTURE_NOT_TCP;
	if (fragment & 0x1fff)
		return CAPTURE_FRAGMENT;
	*first_fragment = fragment & 0x2000;
	s->src.family = s->dst.family = AF_INET;
	memcpy(s->src.ip, h + 12, 4);
	memcpy(s->dst.ip, h + 16, 4);
	limit(r, total);
	if (r->have < header)
		return CAPTURE_CUT;
	skip(r, header);
	return GOOD;
}

/*
 * Length of the extension header at h; 0 if `type` is none that can stand before TCP. RFC 8200 4,
 * RFC 4302 2.
 */
static size_t extension_length(uint8_t type, const uint8_t *h)
{
	switch (type) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case 135: /* mobility */
	case 139: /* host identity */
	case 140: /* shim6 */ return ((size_t)h[1] + 1) * 8;
	case IPPROTO_AH: return ((size_t)h[1] + 2) * 4;
	case IPPROTO_FRAGMENT: return 8;
	default: return 0;
	}
}

/* Every header is at least 8 bytes long, so the walk ends. */
static enum capture_skip ip6_extensions(struct rest *r, uint8_t next, bool *first_fragment)
{
	while (next != IPPROTO_TCP) {
		uint8_t probe[2] = { 0 };

		if (!extension_length(next, probe))
			return CAPTURE_NOT_TCP;
		if (r->wire < 8)
			return CAPTURE_MALFORMED;
		if (r->have < 8)
			return CAPTURE_CUT;
		size_t n = extension_length(next, r->p);

		if (next == IPPROTO_FRAGMENT) {
			uint16_t fragment = be16(r->p + 2);

			if (fragment & 0xfff8)
				return CAPTURE_FRAGMENT;
			*first_fragment = fragment & 1;
		}
		if (n > r->wire)
			return CAPTURE_MALFORMED;
		if (n > r->have)
			return CAPTURE_CUT;
		next = r->p[0];
		skip(r, n);
	}
	return GOOD;
}

static enum capture_skip ip6(struct rest *r, struct segment *s, bool *first_fragment)
{
	if (r->have < 40)
		return CAPTURE_CUT;
	const uint8_t *h = r->p;
	size_t payload = be16(h + 4);

	/* 0: a jumbogram, or taken before segmentation offload. */
	if (payload == 0)
		payload = r->wire > 40 ? r->wire - 40 : 0;
	if (h[0] >> 4 != 6)
		return CAPTURE_MALFORMED;
	s->src.family = s->dst.family = AF_INET6;
	memcpy(s->src.ip, h + 8, 16);
	memcpy(s->dst.ip, h + 24, 16);
	uint8_t next = h[6];

	limit(r, 40 + payload);
	skip(r, 40);
	return ip6_extensions(r, next, first_fragment);
}

/* Ports up to flags must be captured, options need not be. */
#define TCP_NEEDED 14

static enum capture_skip tcp(struct rest *r, struct segment *s, bool first_fragment)
{
	if (r->wire < 20)
		return first_fragment ? CAPTURE_FRAGMENT : CAPTURE_MALFORMED;
	if (r->have < TCP_NEEDED)
		return CAPTURE_CUT;
	size_t header = (size_t)(r->p[12] >> 4) * 4;

	if (header < 20 || header > r->wire)
		return CAPTURE_MALFORMED;
	s->src.port = be16(r->p);
	s->dst.port = be16(r->p + 2);
	s->seq = be32(r->p + 4);
	s->ack = be32(r->p + 8);
	s->flags = r->p[13];
	/*
	 * The segment goes on in fragments that are not put together: its end is not where this one
	 * ends.
	 */
	if (first_fragment)
		s->flags &= (uint8_t)~TCP_FIN;
	s->len = (uint32_t)(r->wire - header);
	s->captured = r->have > header ? (uint32_t)(r->have - header) : 0;
	s->payload = r->p + (s->captured ? header : r->have);
	return GOOD;
}

bool packet__decode(int link, const uint8_t *data, size_t captured, size_t wire,
		    struct segment *out, enum capture_skip *why)
{
	struct rest r = { .p = data, .have = captured, .wire = wire > captured ? wire : captured };
	const struct link *l = link_find(link);
	bool first_fragment = false;
	int version = l ? l->strip(&r) : 0;

	memset(out, 0, sizeof(*out));
	if (version <= 0) {
		*why = version < 0 ? CAPTURE_CUT : CAPTURE_NOT_IP;
		return false;
	}
	*why = version == 4 ? ip4(&r, out, &first_fragment) : ip6(&r, out, &first_fragment);
	if (*why == GOOD)
		*why = tcp(&r, out, first_fragment);
	return *why == GOOD;
}

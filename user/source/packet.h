/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside source/ only: from the bytes of one captured packet to a TCP segment. Pure over (bytes,
 * length).
 */
#ifndef WEFT_SOURCE_PACKET_H
#define WEFT_SOURCE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../bpf/event.h"
#include "source.h"

enum tcp_flag { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_ACK = 0x10 };

struct segment {
	struct weft_addr src, dst; /* padding is zero: may be compared as bytes */
	uint32_t seq, ack;
	uint32_t len;           /* payload, by the IP header */
	uint32_t captured;      /* of which so many bytes ... */
	const uint8_t *payload; /* ... are here, in the packet's buffer; never NULL */
	uint8_t flags;          /* enum tcp_flag and others */
};

/* Is this a link type (libpcap's DLT_*) that packet__decode() knows? */
bool packet__link_known(int link);
/* For people: what there is. */
extern const char packet__links[];

/*
 * `captured` bytes of a packet that had `wire` bytes. True if it holds a TCP segment, which is then
 * in *out; else the reason is in *why.
 */
bool packet__decode(int link, const uint8_t *data, size_t captured, size_t wire,
		    struct segment *out, enum capture_skip *why);

#endif /* WEFT_SOURCE_PACKET_H */

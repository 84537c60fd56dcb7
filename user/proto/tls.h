/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLS as it is seen from outside: recognised, and what its hellos say in clear. The ciphertext is
 * parsed as nothing; what it carries comes from the TLS library (conn/session.c).
 *
 *   tls.c       bytes in, facts out
 *   tls_flow.c  a connection whose bytes are TLS
 */
#ifndef WEFT_PROTO_TLS_H
#define WEFT_PROTO_TLS_H

#include "../conn/conn.h"
#include "proto.h"

/*
 * Do a direction's bytes begin with TLS records? DETECT_REQ (which says nothing of who asks),
 * DETECT_MORE or DETECT_NO. len >= 1.
 */
enum detect_result tls__detect(const uint8_t *data, size_t len);

/*
 * Read a ClientHello or a ServerHello at the beginning of a direction into *out. True: all was read
 * that there is, which may be nothing; false: more bytes are needed. `whole`: no more will come.
 */
bool tls__hello(const uint8_t *data, size_t len, bool whole, struct conn_tls *out);

/* "1.3"; NULL: unknown. Static. */
const char *tls__version_name(uint16_t version);

#endif /* WEFT_PROTO_TLS_H */

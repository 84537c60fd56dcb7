// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Goroutines, from Go 1.17 on (arguments in registers); looked at in 1.19 to 1.26.
 *
 * `go f(x)` calls runtime.newproc, which does all on the system stack in a closure: newproc1 makes
 * the goroutine, runqput(processor, goroutine, true) gives it to the scheduler. That second call is
 * the place: the new one is complete, nobody runs it yet, and calls are what a uprobe costs least
 * on. newproc1 itself is left by a return, which costs ten times as much. iter.Pull makes its
 * coroutine by newcoro, where only the result of newproc1 is at hand; it is rare. (Others that call
 * newproc1 are debuggers and testing/synctest.)
 *
 * A client of net/http has its requests written by another goroutine, one of the two of a pooled
 * connection; persistConn.roundTrip is where it hands them over. The connection is a member of
 * persistConn: { alt RoundTripper; t *Transport; cacheKey connectMethodKey; conn net.Conn; ... },
 * at 80 in Go 1.17 to 1.26. A member that is no connection is not taken for one: bpf/go.bpf.h.
 *
 * Servers of HTTP/2 read for many requests at once. In golang.org/x/net/http2, of which net/http
 * has a copy, each handler's goroutine begins with runHandler(writer, request, handler) of the
 * serverConn. In google.golang.org/grpc the goroutine that reads calls operateHeaders, with a
 * context before the frame in newer versions, and that one begets who serves the call; where calls
 * go to workers (NumStreamWorkers), nothing is known of them.
 */
#include "goruntime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "place_code.h"

#define CODE_MAX 4096 /* closures that make a goroutine; they have a hundred bytes */

#define STREAM(function)                                                                           \
	{                                                                                          \
		.symbol = (function), .optional = true,                                            \
		.desc = { .what = PROBE_GO_STREAM,                                                 \
			  .abi = PROBE_ABI_GO,                                                     \
			  .object = 1,                                                             \
			  .buf = 2,                                                                \
			  .peek = 16 },                                                            \
	}

/* A header block that was read, and where the net.Conn is in the object (-1: look for it). */
#define BLOCK_IN(function, conn)                                                                   \
	{                                                                                          \
		.symbol = (function), .optional = true,                                            \
		.desc = { .what = PROBE_GO_FIELDS_IN,                                              \
			  .abi = PROBE_ABI_GO,                                                     \
			  .object = 1,                                                             \
			  .buf = 2,                                                                \
			  .peek = (conn) },                                                        \
	}

/* The object begins with a pointer to a ClientConn: { t *Transport; tconn net.Conn; ... } */
#define READ_LOOP(function)                                                                        \
	{                                                                                          \
		.symbol = (function), .optional = true,                                            \
		.desc = { .what = PROBE_GO_FIELDS_IN,                                              \
			  .abi = PROBE_ABI_GO,                                                     \
			  .object = 1,                                                             \
			  .out = 1,                                                                \
			  .buf = 2,                                                                \
			  .peek = 8 },                                                             \
	}

/* (st *stream, headerData *writeResHeaders) */
#define STATUS_OUT(function)                                                                       \
	{                                                                                          \
		.symbol = (function), .optional = true,                                            \
		.desc = { .what = PROBE_GO_STATUS_OUT,                                             \
			  .abi = PROBE_ABI_GO,                                                     \
			  .object = 1,                                                             \
			  .buf = 3,                                                                \
			  .peek = 16 },                                                            \
	}

/* (cc *ClientConn) (streamID uint32, endStream bool, maxFrameSize int, hdrs []byte) */
#define TABLE_OUT(function)                                                                        \
	{                                                                                          \
		.symbol = (function), .optional = true, .fields = true,                            \
		.desc = { .what = PROBE_GO_TABLE_OUT,                                              \
			  .abi = PROBE_ABI_GO,                                                     \
			  .object = 1,                                                             \
			  .buf = 2,                                                                \
			  .text2 = 5,                                                              \
			  .text2_len = 6 },                                                        \
	}

static const struct probe_func funcs[] = {
	{
		.symbol = "runtime.newproc.func1",
		.at_call = "runtime.runqput",
		.desc = { .what = PROBE_GO_SPAWN, .abi = PROBE_ABI_GO, .object = 2 },
	},
	{
		.symbol = "runtime.newcoro.func1",
		.at_call = "runtime.newproc1",
		.behind_call = true,
		.optional = true,
		.desc = { .what = PROBE_GO_SPAWN, .abi = PROBE_ABI_GO, .object = 1 },
	},
	{
		.symbol = "net/http.(*persistConn).roundTrip",
		.optional = true,
		.desc = { .what = PROBE_GO_HANDS_ON, .abi = PROBE_ABI_GO, .object = 1, .peek = 80 },
	},
	STREAM("net/http.(*http2serverConn).runHandler"),
	STREAM("golang.org/x/net/http2.(*serverConn).runHandler"),
	{
		.symbol = "google.golang.org/grpc/internal/transport.(*http2Server).operateHeaders",
		.optional = true,
		.desc = { .what = PROBE_GO_STREAM_NEXT,
			  .abi = PROBE_ABI_GO,
			  .object = 2,
			  .buf = 4,
			  .text2 = 1,
			  .peek = -1 },
	},
	BLOCK_IN("net/http.(*http2serverConn).processHeaders", 16),
	BLOCK_IN("golang.org/x/net/http2.(*serverConn).processHeaders", 16),
	STATUS_OUT("net/http.(*http2serverConn).writeHeaders"),
	STATUS_OUT("golang.org/x/net/http2.(*serverConn).writeHeaders"),
	READ_LOOP("net/http.(*http2clientConnReadLoop).processHeaders"),
	READ_LOOP("golang.org/x/net/http2.(*clientConnReadLoop).processHeaders"),
	TABLE_OUT("net/http.(*http2ClientConn).writeHeaders"),
	TABLE_OUT("golang.org/x/net/http2.(*ClientConn).writeHeaders"),
	BLOCK_IN("google.golang.org/grpc/internal/transport.(*http2Client).operateHeaders", -1),
	{
		/* (streamID uint32, endStream bool, hf []hpack.HeaderField, onWrite func()) */
		.symbol = "google.golang.org/grpc/internal/transport.(*loopyWriter).writeHeader",
		.optional = true,
		.desc = { .what = PROBE_GO_FIELDS_OUT,
			  .abi = PROBE_ABI_GO,
			  .object = 1,
			  .buf = 2,
			  .text2 = 4,
			  .text2_len = 5,
			  .peek = -1 },
	},
	{ 0 },
};

const struct probe_library probe_goruntime = {
	.name = "go",
	.title = "Go (goroutines)",
	.area = PROBE_AREA_RUNTIME,
	.marker = "runtime.newproc",
	.go = true,
	.funcs = funcs,
};

/* The index of the only call to `to`; -1 if there is none, or several. */
static int64_t only_call(const struct place_code *c, const uint8_t *code, uint64_t addr,
			 uint64_t to)
{
	int64_t found = -1;

	for (uint32_t i = 0; i < c->n; i++) {
		const struct insn *in = &c->insns[i];
		int32_t distance;

		if (in->kind != INSN_CALL || in->len != 5 || code[in->offset] != 0xe8)
			continue;
		memcpy(&distance, code + in->offset + 1, sizeof(distance));
		if (addr + in->offset + 5 + (uint64_t)(int64_t)distance != to)
			continue;
		if (found >= 0)
			return -1;
		found = i;
	}
	return found;
}

/* Address of a function before relocation; 0: there is none. */
static uint64_t address_of(struct elf_file *elf, const char *symbol)
{
	struct elf_func fn = { 0 };
	uint64_t addr = 0;
	uint8_t byte;

	if (elf_file__find(elf, &symbol, 1, &fn, NULL) < 1 ||
	    elf_file__code(elf, &fn, &byte, 1, &addr) < 1)
		return 0;
	return addr;
}

int goruntime__place(struct elf_file *elf, const struct elf_func *fn, const struct probe_func *func,
		     struct places *out, uint64_t *at)
{
	uint8_t code[CODE_MAX];
	uint64_t addr, to = address_of(elf, func->at_call);
	int64_t len = elf_file__code(elf, fn, code, sizeof(code), &addr), i;
	struct place_code c;
	int err;

	if (len < 0)
		return (int)len;
	if (!to || !fn->size || (uint64_t)len < fn->size)
		return -ENOTSUP;
	err = place_code__decode(&c, code, (size_t)len, addr, true);
	if (err)
		return err;
	i = c.whole && !c.ragged ? only_call(&c, code, addr, to) : -1;
	if (i >= 0 && func->behind_call)
		i++;
	if (i < 0 || i >= c.n || c.insns[i].refused) {
		err = -ENOTSUP;
	} else {
		out->entry = (struct place){ .offset = c.insns[i].offset,
					     .cost = c.insns[i].emulated ? PLACE_EMULATED
									 : PLACE_STEPPED,
					     .insn = c.insns[i].name };
		*at = addr + c.insns[i].offset;
	}
	place_code__free(&c);
	return err;
}

/* Numbers are not given twice: what is on its way out may still ask by one. */
static uint32_t last_number;

static int tell(struct kernel *k, const struct goruntime *rt, size_t site, bool there)
{
	for (size_t i = 0; i < rt->starts.n; i++) {
		int64_t distance = (int64_t)(rt->starts.at[i] - rt->sites[site].at);
		int err = distance == (int32_t)distance
				  ? kernel__go_start(k, rt->sites[site].number, (int32_t)distance,
						     there)
				  : -ERANGE;

		if (err && there)
			return err;
	}
	return 0;
}

int goruntime__site(struct kernel *k, struct elf_file *elf, uint64_t at, struct goruntime *rt,
		    uint32_t *number)
{
	int err = rt->n_sites == GORUNTIME_SITES_MAX ? -ENOSPC : 0;

	if (!err && !rt->starts.at)
		err = go_starts__find(elf, &rt->starts);
	if (err)
		return err;
	rt->sites[rt->n_sites].at = at;
	rt->sites[rt->n_sites].number = *number = ++last_number;
	rt->n_sites++;
	return tell(k, rt, rt->n_sites - 1, true);
}

void goruntime__free(struct kernel *k, struct goruntime *rt)
{
	for (size_t i = 0; i < rt->n_sites; i++)
		tell(k, rt, i, false);
	go_starts__free(&rt->starts);
	rt->n_sites = 0;
}

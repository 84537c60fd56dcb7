// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libbpf adapts the programs to the kernel's structs by searching all of its types, more than
 * 100,000, for each struct that they use. Here the kernel's types are gone through once, for all of
 * those names together, and what was found is handed to libbpf as if it were all there is.
 */
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../lib/table.h"
#include "internal.h"

struct types {
	const struct btf *from;
	struct btf *to;
	struct table names; /* of those that are used, by hash */
	uint32_t *ids;      /* by id in `from`: in `to`; 0 not wanted; WANTED: not there yet */
	uint32_t *todo;     /* ids in `from` */
	uint32_t n, n_todo;
};

#define WANTED UINT32_MAX

/* Without its flavour: "iov_iter___before64" is the kernel's iov_iter. */
static uint64_t type__hash(const struct btf *btf, const struct btf_type *t)
{
	const char *name = btf__name_by_offset(btf, t->name_off), *flavour = strstr(name, "___");
	uint64_t h = 0xcbf29ce484222325ull;

	if (flavour == name)
		flavour = NULL;
	for (; *name && name != flavour; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3ull;
	return h;
}

static bool type__is_named(const struct btf_type *t)
{
	return t->name_off &&
	       (btf_is_composite(t) || btf_is_any_enum(t) || btf_is_typedef(t) || btf_is_int(t));
}

static bool types__read_names(struct types *s, const struct btf *programs)
{
	for (uint32_t i = 1; i < btf__type_cnt(programs); i++) {
		const struct btf_type *t = btf__type_by_id(programs, i);

		if (type__is_named(t) && !table__put(&s->names, type__hash(programs, t), s))
			return false;
	}
	return true;
}

static void types__want(struct types *s, uint32_t id)
{
	if (!id || s->ids[id])
		return;
	s->ids[id] = WANTED;
	s->todo[s->n_todo++] = id;
}

/* What a type is made of. What a pointer leads to is not asked for. */
static void types__want_parts(struct types *s, const struct btf_type *t)
{
	if (btf_is_mod(t) || btf_is_typedef(t))
		types__want(s, t->type);
	else if (btf_is_array(t))
		types__want(s, btf_array(t)->type), types__want(s, btf_array(t)->index_type);
	for (int i = 0; btf_is_composite(t) && i < btf_vlen(t); i++)
		types__want(s, btf_members(t)[i].type);
}

static void types__choose(struct types *s)
{
	for (uint32_t i = 1; i < s->n; i++) {
		const struct btf_type *t = btf__type_by_id(s->from, i);

		if (type__is_named(t) && table__get(&s->names, type__hash(s->from, t)))
			types__want(s, i);
	}
	for (uint32_t i = 0; i < s->n_todo; i++)
		types__want_parts(s, btf__type_by_id(s->from, s->todo[i]));
}

/* Kinds that nothing here is made of: but for its name, such a type is void. */
static bool type__is_opaque(const struct btf_type *t)
{
	return btf_is_ptr(t) || btf_is_func_proto(t) || btf_is_func(t) || btf_is_var(t) ||
	       btf_is_datasec(t) || btf_is_decl_tag(t);
}

static int types__copy(struct types *s)
{
	for (uint32_t i = 0; i < s->n_todo; i++) {
		const struct btf_type *t = btf__type_by_id(s->from, s->todo[i]);
		int id = type__is_opaque(t) ? btf__add_ptr(s->to, 0)
					    : btf__add_type(s->to, s->from, t);

		if (id < 0)
			return id;
		s->ids[s->todo[i]] = (uint32_t)id;
	}
	/* now all have their numbers */
	for (uint32_t i = 1; i < btf__type_cnt(s->to); i++) {
		struct btf_type *t = (struct btf_type *)btf__type_by_id(s->to, i);

		if (btf_is_mod(t) || btf_is_typedef(t)) {
			t->type = s->ids[t->type];
		} else if (btf_is_array(t)) {
			btf_array(t)->type = s->ids[btf_array(t)->type];
			btf_array(t)->index_type = s->ids[btf_array(t)->index_type];
		}
		for (int m = 0; btf_is_composite(t) && m < btf_vlen(t); m++)
			btf_members(t)[m].type = s->ids[btf_members(t)[m].type];
	}
	return 0;
}

static int types__write(const struct btf *btf)
{
	uint32_t size;
	const char *bytes = btf__raw_data(btf, &size);
	int fd = bytes ? memfd_create("weft-types", MFD_CLOEXEC) : -1;
	ssize_t n;

	if (fd < 0)
		return bytes ? -errno : -ENOMEM;
	for (; size; size -= (uint32_t)n, bytes += n) {
		n = write(fd, bytes, size);
		if (n <= 0) {
			n = n ? -errno : -EIO;
			close(fd);
			return (int)n;
		}
	}
	return fd;
}

int types__used(const struct btf *kernel, const struct btf *programs)
{
	struct types s = { .from = kernel, .to = btf__new_empty(), .n = btf__type_cnt(kernel) };
	int result = -ENOMEM;

	s.ids = calloc(s.n, sizeof(*s.ids));
	s.todo = calloc(s.n, sizeof(*s.todo));
	if (s.to && s.ids && s.todo && types__read_names(&s, programs)) {
		types__choose(&s);
		result = types__copy(&s);
	}
	if (!result)
		result = types__write(s.to);
	table__free(&s.names);
	free(s.ids);
	free(s.todo);
	btf__free(s.to);
	return result;
}

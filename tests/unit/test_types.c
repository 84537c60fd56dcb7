// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel's types that the programs need, picked from all of them. */
#include <bpf/btf.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "user/kernel/internal.h"

/*
 * int; struct inner { int n; }; struct far { int far; };
 * struct outer { const int x; struct inner in[3]; struct far *p; }; struct other { int y; };
 */
static struct btf *kernel(void)
{
	struct btf *b = btf__new_empty();
	int i = btf__add_int(b, "int", 4, BTF_INT_SIGNED);

	btf__add_struct(b, "other", 4);
	btf__add_field(b, "y", i, 0, 0);
	int far = btf__add_struct(b, "far", 4);
	btf__add_field(b, "far", i, 0, 0);
	/* what outer is made of comes behind it */
	int outer = btf__add_struct(b, "outer", 24);
	btf__add_field(b, "x", outer + 1, 0, 0);
	btf__add_field(b, "in", outer + 2, 32, 0);
	btf__add_field(b, "p", outer + 4, 128, 0);
	btf__add_const(b, i);
	btf__add_array(b, i, outer + 3, 3);
	int inner = btf__add_struct(b, "inner", 4);
	btf__add_field(b, "n", i, 0, 0);
	cr_assert_eq(inner, outer + 3);
	btf__add_ptr(b, far);
	return b;
}

static struct btf *programs(const char *name)
{
	struct btf *b = btf__new_empty();

	btf__add_struct(b, name, 0);
	return b;
}

static struct btf *used(const char *name)
{
	struct btf *all = kernel(), *mine = programs(name), *b;
	int fd = types__used(all, mine);
	char path[32];

	cr_assert_geq(fd, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	b = btf__parse(path, NULL);
	cr_assert_not_null(b);
	close(fd);
	btf__free(all);
	btf__free(mine);
	return b;
}

static int of(const struct btf *b, const char *name)
{
	return btf__find_by_name_kind(b, name, BTF_KIND_STRUCT);
}

Test(types, what_it_is_made_of_comes_with_it)
{
	struct btf *b = used("outer");
	const struct btf_type *outer = btf__type_by_id(b, of(b, "outer")), *t;
	const struct btf_member *m = btf_members(outer);

	cr_assert_eq(outer->size, 24);
	cr_assert_eq(btf_vlen(outer), 3);
	t = btf__type_by_id(b, m[0].type);
	cr_assert(btf_is_const(t));
	cr_assert_str_eq(btf__name_by_offset(b, btf__type_by_id(b, t->type)->name_off), "int");
	t = btf__type_by_id(b, m[1].type);
	cr_assert(btf_is_array(t));
	cr_assert_eq(btf_array(t)->nelems, 3);
	cr_assert_eq((int)btf_array(t)->type, of(b, "inner"));
	cr_assert_eq(btf__resolve_size(b, m[1].type), 12);
	cr_assert_eq(m[1].offset, 32);
	cr_assert(btf_is_ptr(btf__type_by_id(b, m[2].type)));
	btf__free(b);
}

Test(types, nothing_else_does)
{
	struct btf *b = used("outer");

	cr_assert_lt(of(b, "other"), 0);
	cr_assert_lt(of(b, "far"), 0, "where a pointer leads is not needed");
	btf__free(b);
}

Test(types, flavours_are_the_same_type)
{
	struct btf *b = used("outer___before64");

	cr_assert_gt(of(b, "outer"), 0);
	btf__free(b);
}

Test(types, none_are_needed)
{
	struct btf *b = used("ours");

	cr_assert_eq(btf__type_cnt(b), 1);
	btf__free(b);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The type by which programs read the kernel's memory without a helper (bpf/cast.bpf.h). It is
 * looked up here and not by CO-RE, which refuses the whole object where a kernel's BTF describes a
 * struct twice.
 */
#include <bpf/btf.h>
#include <stdint.h>
#include <string.h>

#include "internal.h"

/* A struct that begins with a number of 8 bytes; 0 where it would be of no use. */
static uint32_t casts__number(const struct btf *kernel)
{
	int id;

	if (!kernel || btf__find_by_name_kind(kernel, "bpf_rdonly_cast", BTF_KIND_FUNC) < 0)
		return 0;
	id = btf__find_by_name_kind(kernel, "timespec64", BTF_KIND_STRUCT);
	return id > 0 ? (uint32_t)id : 0;
}

/* Where in .rodata is the variable `name`? NULL: it is not there, or of another size. */
static void *casts__variable(struct bpf_object *obj, const char *name, size_t bytes)
{
	const struct btf *btf = bpf_object__btf(obj);
	int section = btf ? btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC) : -1;
	const struct btf_type *t = section < 0 ? NULL : btf__type_by_id(btf, section);
	const struct btf_var_secinfo *v = t ? btf_var_secinfos(t) : NULL;
	struct bpf_map *map = bpf_object__find_map_by_name(obj, ".rodata");
	size_t size = 0;
	char *memory = map ? (char *)bpf_map__initial_value(map, &size) : NULL;

	for (int i = 0; memory && t && i < btf_vlen(t); i++) {
		const struct btf_type *var = btf__type_by_id(btf, v[i].type);

		if (!strcmp(btf__name_by_offset(btf, var->name_off), name))
			return v[i].size == bytes && v[i].offset + bytes <= size
				       ? memory + v[i].offset
				       : NULL;
	}
	return NULL;
}

void casts__prepare(struct bpf_object *obj, const struct btf *kernel)
{
	uint32_t number = casts__number(kernel);
	void *to = casts__variable(obj, "cast_to_number", sizeof(number));

	if (to)
		memcpy(to, &number, sizeof(number));
}

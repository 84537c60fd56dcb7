// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The file as a whole. Functions are looked for in its tables, the cheap ones first: what the
 * dynamic linker reads, the full symbol table, Go's, the compressed one, another file.
 */
#include "elf_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct elf_file {
	struct elf_image image;
	char soname[256];
	char build_id[130]; /* 64 bytes in hex and a NUL: twice what any linker writes */
	char go_version[64];
};

int elf_file__open(int fd, struct elf_file **out, char *why, size_t why_len)
{
	struct elf_file *f = calloc(1, sizeof(*f));

	*out = NULL;
	if (!f)
		return -ENOMEM;
	int err = elf_image__open(&f->image, fd, why, why_len);

	if (err) {
		free(f);
		return err;
	}
	elf_dynamic__soname(&f->image, f->soname, sizeof(f->soname));
	elf_image__build_id(&f->image, f->build_id, sizeof(f->build_id));
	elf_go__version(&f->image, f->go_version, sizeof(f->go_version));
	*out = f;
	return 0;
}

void elf_file__close(struct elf_file *f)
{
	if (!f)
		return;
	elf_image__close(&f->image);
	free(f);
}

const char *elf_file__soname(const struct elf_file *f)
{
	return f->soname;
}

const char *elf_file__build_id(const struct elf_file *f)
{
	return f->build_id;
}

const char *elf_file__go_version(const struct elf_file *f)
{
	return f->go_version;
}

bool elf_file__has_functions(const struct elf_file *f)
{
	const struct elf_image *img = &f->image;

	return elf_symbols__read(img, SHT_DYNSYM, img, NULL, ELF_DYNSYM) > 0 ||
	       elf_symbols__read(img, SHT_SYMTAB, img, NULL, ELF_SYMTAB) > 0 ||
	       (f->go_version[0] && elf_go__functions(img, NULL) > 0) ||
	       elf_minidebug__find(img, NULL) > 0;
}

/* A broken table is as good as none, as long as there is memory. */
static int find_all(struct elf_file *f, struct elf_wanted *w, const char *root)
{
	const struct elf_image *img = &f->image;
	int err = elf_symbols__read(img, SHT_DYNSYM, img, w, ELF_DYNSYM);

	if (err != -ENOMEM && w->missing)
		err = elf_symbols__read(img, SHT_SYMTAB, img, w, ELF_SYMTAB);
	if (err != -ENOMEM && w->missing && f->go_version[0])
		err = elf_go__functions(img, w);
	if (err != -ENOMEM && w->missing)
		err = elf_minidebug__find(img, w);
	if (err != -ENOMEM && w->missing && root)
		err = elf_debug__find(img, f->build_id, root, w);
	return err == -ENOMEM ? err : 0;
}

int elf_file__find(struct elf_file *f, const char *const *names, size_t n, struct elf_func *found,
		   const char *root)
{
	struct elf_wanted w;
	int err = elf_wanted__init(&w, names, n, found);

	if (err)
		return err;
	err = find_all(f, &w, root);
	int count = elf_wanted__finish(&w);

	elf_wanted__free(&w);
	return err ? err : count;
}

int64_t elf_file__code(struct elf_file *f, const struct elf_func *fn, uint8_t *buf, size_t max,
		       uint64_t *addr)
{
	for (size_t i = 0; i < f->image.n_loads; i++) {
		const struct elf_load *l = &f->image.loads[i];

		if (!(l->flags & PF_X) || fn->offset < l->offset ||
		    fn->offset - l->offset >= l->filesz)
			continue;
		uint64_t in = fn->offset - l->offset;
		uint64_t n = l->filesz - in;

		if (fn->size && fn->size < n)
			n = fn->size;
		if (n > max)
			n = max;
		if (!elf_image__read(&f->image, fn->offset, buf, n))
			return -EBADMSG;
		*addr = l->vaddr + in;
		return (int64_t)n;
	}
	return -EFAULT;
}

bool elf_file__pointed(struct elf_file *f, const char *variable, uint64_t offset,
		       struct elf_func *out)
{
	uint64_t at = elf_symbols__data(&f->image, variable);
	uint64_t vaddr = at ? elf_dynamic__pointer(&f->image, at + offset) : 0;

	*out = (struct elf_func){ .offset = vaddr ? elf_image__code(&f->image, vaddr) : 0,
				  .table = ELF_DYNSYM };
	return out->offset;
}

uint64_t elf_file__data(struct elf_file *f, const char *name)
{
	return elf_symbols__data(&f->image, name);
}

bool elf_file__read(struct elf_file *f, uint64_t vaddr, void *buf, size_t len)
{
	return elf_image__read_at(&f->image, vaddr, buf, len);
}

int elf_file__each_go(struct elf_file *f, void *ctx, elf_go_fn fn)
{
	int err = elf_go__each(&f->image, ctx, fn);

	return err < 0 ? err : 0;
}

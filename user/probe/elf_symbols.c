// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The names that are looked for, and ELF's own symbol tables. A table is read once, in pieces,
 * whatever the number of names: each of its functions' names is hashed and looked up.
 */
#include "elf_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 4096 /* symbols read at once */
#define DYNAMIC_MAX 4096
#define RELOCATIONS_MAX (16u << 20)

#if defined(__x86_64__)
#define R_RELATIVE R_X86_64_RELATIVE
#else
#define R_RELATIVE R_AARCH64_RELATIVE
#endif

/* Ranks of symbols: a global one goes before a local one, a default version before others. */
#define RANK_ANY 1
#define RANK_DEFAULT 1
#define RANK_GLOBAL 2

static uint32_t hash_step(uint32_t h, char c)
{
	return (h ^ (uint8_t)c) * 16777619u; /* FNV-1a */
}

#define HASH_START 2166136261u

static int64_t find_hashed(const struct elf_wanted *w, const char *name, size_t len, uint32_t h)
{
	for (uint32_t i = w->heads[h & w->mask]; i; i = w->next[i - 1])
		if (w->hash[i - 1] == h && strncmp(w->names[i - 1], name, len) == 0 &&
		    w->names[i - 1][len] == '\0')
			return i - 1;
	return -1;
}

static void insert(struct elf_wanted *w, uint32_t i)
{
	const char *name = w->names[i];
	size_t len = strlen(name);
	uint32_t h = HASH_START;

	for (size_t k = 0; k < len; k++)
		h = hash_step(h, name[k]);
	int64_t first = find_hashed(w, name, len, h);

	w->same[i] = first < 0 ? i : (uint32_t)first;
	w->hash[i] = h;
	if (first >= 0)
		return;
	w->next[i] = w->heads[h & w->mask];
	w->heads[h & w->mask] = i + 1;
	w->missing++;
	if (len > w->max_len)
		w->max_len = len;
}

int elf_wanted__init(struct elf_wanted *w, const char *const *names, size_t n,
		     struct elf_func *found)
{
	size_t size = 16;

	*w = (struct elf_wanted){ .names = names, .found = found, .n = n };
	if (n > UINT32_MAX / 8)
		return -E2BIG;
	while (size < 4 * n)
		size *= 2;
	w->mask = (uint32_t)size - 1;
	w->heads = calloc(size, sizeof(*w->heads));
	w->next = calloc(n + 1, sizeof(*w->next));
	w->hash = calloc(n + 1, sizeof(*w->hash));
	w->rank = calloc(n + 1, sizeof(*w->rank));
	w->same = calloc(n + 1, sizeof(*w->same));
	if (!w->heads || !w->next || !w->hash || !w->rank || !w->same) {
		elf_wanted__free(w);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		found[i] = (struct elf_func){ 0 };
		insert(w, (uint32_t)i);
	}
	return 0;
}

int elf_wanted__finish(struct elf_wanted *w)
{
	int n = 0;

	for (size_t i = 0; i < w->n; i++) {
		w->found[i] = w->found[w->same[i]]; /* which is not behind i */
		n += w->found[i].offset != 0;
	}
	return n;
}

void elf_wanted__free(struct elf_wanted *w)
{
	free(w->heads);
	free(w->next);
	free(w->hash);
	free(w->rank);
	free(w->same);
	*w = (struct elf_wanted){ 0 };
}

void elf_wanted__settle(struct elf_wanted *w)
{
	for (size_t i = 0; i < w->n; i++) {
		if (!w->rank[i] || w->rank[i] == ELF_RANK_SETTLED)
			continue;
		w->rank[i] = ELF_RANK_SETTLED;
		w->missing--;
	}
}

int64_t elf_wanted__match(const struct elf_wanted *w, const char *name, bool versions,
			  const char **end)
{
	uint32_t h = HASH_START;
	size_t len = 0;

	for (; name[len] && !(versions && name[len] == '@'); len++) {
		if (len == w->max_len)
			return -1;
		h = hash_step(h, name[len]);
	}
	if (end)
		*end = name + len;
	return find_hashed(w, name, len, h);
}

void elf_wanted__offer(struct elf_wanted *w, int64_t i, const struct elf_image *file,
		       uint64_t vaddr, uint64_t size, uint8_t rank, enum elf_table table)
{
	uint64_t at = rank > w->rank[i] ? elf_image__code(file, vaddr) : 0;

	if (!at)
		return;
	const struct elf_load *l = elf_image__segment(file, vaddr);

	w->rank[i] = rank;
	w->found[i] = (struct elf_func){ .offset = at,
					 .size = size <= l->filesz - (vaddr - l->vaddr) ? size : 0,
					 .table = table };
}

/* Where a symbol table's parts are in the file. */
struct symbols {
	uint64_t offset, count;
	uint64_t names, names_len;
	uint64_t versions; /* of .gnu.version; 0: none */
};

static bool read_dynamic(const struct elf_image *img, size_t i, Elf64_Dyn *dyn)
{
	return i < DYNAMIC_MAX && (i + 1) * sizeof(*dyn) <= img->dynamic_size &&
	       elf_image__read(img, img->dynamic_offset + i * sizeof(*dyn), dyn, sizeof(*dyn)) &&
	       dyn->d_tag != DT_NULL;
}

bool elf_dynamic__get(const struct elf_image *img, int64_t tag, uint64_t *value)
{
	Elf64_Dyn dyn;

	for (size_t i = 0; read_dynamic(img, i, &dyn); i++) {
		if (dyn.d_tag != tag)
			continue;
		*value = dyn.d_un.d_val;
		return true;
	}
	return false;
}

void elf_dynamic__soname(const struct elf_image *img, char *buf, size_t size)
{
	uint64_t strtab, len, at;

	buf[0] = '\0';
	if (!elf_dynamic__get(img, DT_SONAME, &at) || !elf_dynamic__get(img, DT_STRTAB, &strtab) ||
	    !elf_dynamic__get(img, DT_STRSZ, &len) || at >= len)
		return;
	const struct elf_load *l = elf_image__segment(img, strtab);

	if (!l || at >= l->filesz - (strtab - l->vaddr))
		return;
	uint64_t room = l->filesz - (strtab - l->vaddr) - at;

	room = room < len - at ? room : len - at;
	room = room < size - 1 ? room : size - 1;
	if (!elf_image__read(img, l->offset + (strtab - l->vaddr) + at, buf, room))
		room = 0;
	buf[room] = '\0';
}

void elf_dynamic__each_relative(const struct elf_image *img, void *ctx,
				void (*fn)(void *ctx, const Elf64_Rela *r))
{
	uint64_t addr, size;

	if (!elf_dynamic__get(img, DT_RELA, &addr) || !elf_dynamic__get(img, DT_RELASZ, &size))
		return;
	const struct elf_load *l = elf_image__segment(img, addr);
	Elf64_Rela *r = malloc(4096 * sizeof(*r));

	if (!l || size > l->filesz - (addr - l->vaddr))
		size = 0;
	uint64_t n = size / sizeof(*r);

	for (uint64_t i = 0; r && i < n && i < RELOCATIONS_MAX; i += 4096) {
		size_t some = n - i < 4096 ? n - i : 4096;

		if (!elf_image__read(img, l->offset + (addr - l->vaddr) + i * sizeof(*r), r,
				     some * sizeof(*r)))
			break;
		for (size_t k = 0; k < some; k++)
			if (ELF64_R_TYPE(r[k].r_info) == R_RELATIVE)
				fn(ctx, &r[k]);
	}
	free(r);
}

struct pointer {
	uint64_t at, value;
};

static void is_pointer(void *ctx, const Elf64_Rela *r)
{
	struct pointer *p = ctx;

	if (r->r_offset == p->at)
		p->value = (uint64_t)r->r_addend;
}

uint64_t elf_dynamic__pointer(const struct elf_image *img, uint64_t vaddr)
{
	struct pointer p = { .at = vaddr };

	elf_dynamic__each_relative(img, &p, is_pointer);
	if (!p.value && !elf_image__read_at(img, vaddr, &p.value, sizeof(p.value)))
		p.value = 0;
	return p.value;
}

/* A table as its section header tells it. */
static bool by_section(const struct elf_image *img, uint32_t type, struct symbols *t)
{
	const struct elf_section *s = elf_image__section(img, NULL, type), *v;

	if (!s || s->link >= img->n_sections || (s->flags & SHF_COMPRESSED))
		return false;
	const struct elf_section *names = &img->sections[s->link];

	if (names->type != SHT_STRTAB || (names->flags & SHF_COMPRESSED))
		return false;
	*t = (struct symbols){ .offset = s->offset,
			       .count = s->size / sizeof(Elf64_Sym),
			       .names = names->offset,
			       .names_len = names->size };
	v = type == SHT_DYNSYM ? elf_image__section(img, NULL, SHT_GNU_versym) : NULL;
	if (v && v->size / sizeof(Elf64_Versym) >= t->count)
		t->versions = v->offset;
	return true;
}

/*
 * Without sections: what the dynamic linker is told. It needs no length of the table; linkers put
 * the strings behind it, and where they did not the table is not read.
 */
static bool by_dynamic(const struct elf_image *img, struct symbols *t)
{
	uint64_t symtab, strtab, len, versym;

	if (!elf_dynamic__get(img, DT_SYMTAB, &symtab) ||
	    !elf_dynamic__get(img, DT_STRTAB, &strtab) || !elf_dynamic__get(img, DT_STRSZ, &len) ||
	    strtab <= symtab)
		return false;
	const struct elf_load *l = elf_image__segment(img, symtab);

	if (!l || strtab - l->vaddr >= l->filesz || len > l->filesz - (strtab - l->vaddr))
		return false;
	*t = (struct symbols){ .offset = l->offset + (symtab - l->vaddr),
			       .count = (strtab - symtab) / sizeof(Elf64_Sym),
			       .names = l->offset + (strtab - l->vaddr),
			       .names_len = len };
	if (elf_dynamic__get(img, DT_VERSYM, &versym) && versym >= l->vaddr &&
	    versym - l->vaddr < l->filesz &&
	    t->count * sizeof(Elf64_Versym) <= l->filesz - (versym - l->vaddr))
		t->versions = l->offset + (versym - l->vaddr);
	return true;
}

static bool is_function(const Elf64_Sym *s)
{
	/* An ifunc's address is that of the code that chooses, not of what is called. */
	return ELF64_ST_TYPE(s->st_info) == STT_FUNC && s->st_shndx != SHN_UNDEF && s->st_value;
}

struct reading {
	const struct elf_image *file;
	uint64_t shift; /* of the file's addresses against the table's: prelinked afterwards */
	const char *names;
	uint64_t names_len;
	struct elf_wanted *w;
	enum elf_table table;
};

static void read_symbol(const struct reading *r, const Elf64_Sym *s, bool hidden)
{
	const char *end;

	if (!is_function(s) || s->st_name >= r->names_len)
		return;
	int64_t i = elf_wanted__match(r->w, r->names + s->st_name, true, &end);

	if (i < 0)
		return;
	/* .symtab has versions in names: name@@DEFAULT, name@OTHER */
	if (end[0] == '@' && end[1] != '@')
		hidden = true;
	uint8_t rank = RANK_ANY;

	if (!hidden)
		rank += RANK_DEFAULT;
	if (ELF64_ST_BIND(s->st_info) != STB_LOCAL)
		rank += RANK_GLOBAL;
	elf_wanted__offer(r->w, i, r->file, s->st_value + r->shift, s->st_size, rank, r->table);
}

static int read_chunks(const struct elf_image *img, const struct symbols *t,
		       const struct reading *r)
{
	Elf64_Sym *syms = malloc(CHUNK * sizeof(*syms));
	Elf64_Versym *vers = malloc(CHUNK * sizeof(*vers));
	int ret = syms && vers ? 0 : -ENOMEM;

	for (uint64_t at = 0; ret >= 0 && at < t->count && at < ELF_SYMBOLS_MAX; at += CHUNK) {
		size_t n = t->count - at < CHUNK ? t->count - at : CHUNK;

		if (!elf_image__read(img, t->offset + at * sizeof(*syms), syms,
				     n * sizeof(*syms)) ||
		    (t->versions && !elf_image__read(img, t->versions + at * sizeof(*vers), vers,
						     n * sizeof(*vers)))) {
			ret = -EBADMSG;
			break;
		}
		for (size_t i = 0; i < n; i++) {
			if (!r->w && is_function(&syms[i])) {
				ret = 1;
				goto out;
			}
			if (r->w)
				read_symbol(r, &syms[i], t->versions && (vers[i] & 0x8000));
		}
	}
out:
	free(syms);
	free(vers);
	return ret;
}

int elf_symbols__read(const struct elf_image *img, uint32_t type, const struct elf_image *file,
		      struct elf_wanted *w, enum elf_table table)
{
	struct symbols t;

	if (!by_section(img, type, &t) && !(type == SHT_DYNSYM && by_dynamic(img, &t)))
		return 0;
	struct reading r = { .file = file, .w = w, .table = table };

	if (img->has_base)
		r.shift = file->base - img->base;
	if (!w)
		return read_chunks(img, &t, &r);
	char *names = (char *)elf_image__load(img, t.names, t.names_len, ELF_TABLE_MAX);

	if (!names)
		return -EBADMSG;
	r.names = names;
	r.names_len = t.names_len;
	int ret = read_chunks(img, &t, &r);

	free(names);
	elf_wanted__settle(w);
	return ret;
}

uint64_t elf_symbols__data(const struct elf_image *img, const char *name)
{
	Elf64_Sym *syms = NULL;
	struct symbols t;
	uint64_t found = 0;

	if (!by_section(img, SHT_DYNSYM, &t) && !by_dynamic(img, &t))
		return 0;
	char *names = (char *)elf_image__load(img, t.names, t.names_len, ELF_TABLE_MAX);

	if (t.count < ELF_SYMBOLS_MAX)
		syms = (Elf64_Sym *)elf_image__load(img, t.offset, t.count * sizeof(*syms),
						    ELF_TABLE_MAX);
	for (uint64_t i = 0; names && syms && i < t.count && !found; i++)
		if (ELF64_ST_TYPE(syms[i].st_info) == STT_OBJECT && syms[i].st_shndx != SHN_UNDEF &&
		    syms[i].st_name < t.names_len && strcmp(names + syms[i].st_name, name) == 0)
			found = syms[i].st_value;
	free(names);
	free(syms);
	return found;
}

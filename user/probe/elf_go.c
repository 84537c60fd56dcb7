// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Programs built by Go: the version they name, and the function table that Go's runtime needs for
 * stack traces, so that stripping leaves it in (".gopclntab"; design: go.dev/s/go12symtab, layouts:
 * runtime/symtab.go of each version). Three layouts are known, by their magic numbers: Go 1.16 and
 * 1.17, 1.18 and 1.19, 1.20 and later.
 *
 * Where the table is: the section's name says it, unless an external linker has put it into another
 * section or section headers are gone; then the segments are searched for its header.
 *
 * Where its functions are: since 1.18 it has offsets from the start of Go's code. The header says
 * where that is, up to 1.25 and if nothing is to be relocated. Else the runtime's module data does
 * (struct moduledata, which starts with a pointer to the table and has had its first 23 words in
 * the same order since 1.16): its words are in the file, or are addends of relocations.
 */
#include "elf_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE (1u << 20)
#define SEARCH_MAX (512ull << 20) /* bytes in which something is searched */
#define HITS_MAX 4096             /* ... and how often what is found there is looked at */
#define TABLES_MAX 3              /* headers that were worth reading the table */
#define FUNCS_MAX (16u << 20)
#define CANDIDATES_MAX 16

#if defined(__x86_64__)
#define MIN_INSTRUCTION 1ull
#else
#define MIN_INSTRUCTION 4ull
#endif

/*
 * A search for 64-bit words at multiples of eight. `hit` gets the offset in the file and the
 * address, and ends the search with true.
 */
struct search {
	const uint64_t *words;
	size_t n_words;
	bool (*hit)(struct search *s, uint64_t offset, uint64_t vaddr);
	const struct elf_image *img;
	void *ctx;
	uint64_t left; /* bytes that may still be read */
	unsigned hits;
};

static bool search_piece(struct search *s, const uint8_t *p, size_t n, uint64_t offset,
			 uint64_t vaddr)
{
	for (size_t i = 0; i + 8 <= n; i += 8) {
		uint64_t v;

		memcpy(&v, p + i, sizeof(v));
		for (size_t k = 0; k < s->n_words; k++)
			if (v == s->words[k] && s->hits++ < HITS_MAX &&
			    s->hit(s, offset + i, vaddr + i))
				return true;
	}
	return false;
}

static bool search_segment(struct search *s, const struct elf_load *l, uint8_t *buf)
{
	uint64_t skip = -l->vaddr & 7;

	for (uint64_t at = skip; at < l->filesz && s->left; at += PIECE) {
		size_t n = l->filesz - at < PIECE ? l->filesz - at : PIECE;

		n = n < s->left ? n : s->left;
		s->left -= n;
		if (!elf_image__read(s->img, l->offset + at, buf, n))
			return false;
		if (search_piece(s, buf, n, l->offset + at, l->vaddr + at))
			return true;
	}
	return false;
}

/* Search the segments that have all of these flags. */
static bool search_all(struct search *s, uint32_t flags)
{
	uint8_t *buf = malloc(PIECE);
	bool found = false;

	s->left = SEARCH_MAX;
	for (size_t i = 0; buf && !found && i < s->img->n_loads; i++)
		if ((s->img->loads[i].flags & flags) == flags)
			found = search_segment(s, &s->img->loads[i], buf);
	free(buf);
	return found;
}

/* Build information. */

static const char info_magic[] = "\xff Go buildinf:";

struct version {
	char *buf;
	size_t size;
};

static bool take_version(const struct version *v, const uint8_t *text, size_t len)
{
	if (len >= v->size)
		len = v->size - 1;
	for (size_t i = 0; i < len; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			return false;
	if (len < 3 || (memcmp(text, "go", 2) != 0 && memcmp(text, "dev", 3) != 0))
		return false;
	memcpy(v->buf, text, len);
	v->buf[len] = '\0';
	return true;
}

/*
 * "\xff Go buildinf:", size of a pointer, flags. Flag 2 (Go 1.18 on): at 32 the version's length,
 * a varint, and text. Else, at 16, a pointer to a string's header.
 */
static bool read_info(const struct elf_image *img, uint64_t offset, const struct version *v)
{
	uint8_t head[33], text[64];
	uint64_t at, string[2];

	if (!elf_image__read(img, offset, head, sizeof(head)) ||
	    memcmp(head, info_magic, sizeof(info_magic) - 1) != 0)
		return false;
	if (head[15] & 2) {
		size_t len = head[32]; /* a version is shorter than 128 */

		return len < sizeof(text) &&
		       elf_image__read(img, offset + sizeof(head), text, len) &&
		       take_version(v, text, len);
	}
	memcpy(&at, head + 16, sizeof(at));
	return head[14] == 8 && !(head[15] & 1) &&
	       elf_image__read_at(img, at, string, sizeof(string)) && string[1] < sizeof(text) &&
	       elf_image__read_at(img, string[0], text, string[1]) &&
	       take_version(v, text, string[1]);
}

static bool info_hit(struct search *s, uint64_t offset, uint64_t vaddr)
{
	return vaddr % 16 == 0 && read_info(s->img, offset, s->ctx);
}

void elf_go__version(const struct elf_image *img, char *buf, size_t size)
{
	const struct elf_section *s = elf_image__section(img, ".go.buildinfo", SHT_PROGBITS);
	struct version v = { buf, size };
	uint64_t word;

	buf[0] = '\0';
	if (s) {
		read_info(img, s->offset, &v);
		return;
	}
	/* All other programs would be searched for nothing: only where there are no names. */
	if (img->section_names)
		return;
	memcpy(&word, info_magic, sizeof(word));
	search_all(&(struct search){ &word, 1, info_hit, img, &v, 0, 0 }, PF_R | PF_W);
}

/* The function table. */

enum go_layout { GO_116, GO_118 }; /* 1.20 differs from 1.18 in what is not read here */

struct go_table {
	const struct elf_image *img;
	enum go_layout layout;
	uint64_t vaddr; /* of the header */
	uint8_t *data;  /* from the header on */
	uint64_t len;   /* ... and how much there is */
	uint64_t n;     /* functions */
	uint64_t names; /* offset of the first name */
	uint64_t funcs; /* offset of the index by address: struct functab */
	uint64_t text;  /* address from which entries count; 0 for GO_116 */
	uint64_t header_text;
	struct elf_wanted *w; /* who wants names, or ... */
	elf_go_fn each;       /* ... all of them */
	void *ctx;
	unsigned tried;
	int ret;
};

#define MAGIC(version) (0xffffff00ull | (version) | MIN_INSTRUCTION << 48 | 8ull << 56)

static const uint64_t magics[] = { MAGIC(0xf1), MAGIC(0xf0), MAGIC(0xfa) };

static uint64_t word_at(const struct go_table *t, uint64_t offset, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, t->data + offset, size);
	return v;
}

static unsigned word_size(const struct go_table *t)
{
	return t->layout == GO_116 ? 8 : 4;
}

/* Entry of function i as the table has it; of i == n the end of the last. */
static uint64_t entry_of(const struct go_table *t, uint64_t i)
{
	return word_at(t, t->funcs + i * 2 * word_size(t), word_size(t));
}

/* Header: magic, then words: functions, files, [start of code,] offsets of five tables. */
static bool read_header(struct go_table *t, uint64_t offset, uint64_t room)
{
	uint64_t h[9];

	if (room < sizeof(h) || !elf_image__read(t->img, offset, h, sizeof(h)))
		return false;
	if (h[0] != magics[0] && h[0] != magics[1] && h[0] != magics[2])
		return false;
	t->layout = h[0] == magics[2] ? GO_116 : GO_118;
	t->n = h[1];
	t->header_text = t->layout == GO_116 ? 0 : h[3];
	t->names = t->layout == GO_116 ? h[3] : h[4];
	t->funcs = t->layout == GO_116 ? h[7] : h[8];
	t->len = room;
	uint64_t index = (2 * t->n + 1) * word_size(t);

	return t->n && t->n <= FUNCS_MAX && t->names >= 64 && t->names < room && t->funcs < room &&
	       t->funcs % 4 == 0 && index <= room - t->funcs;
}

/* Words of struct moduledata. */
enum { MODULE_MINPC = 20, MODULE_MAXPC = 21, MODULE_TEXT = 22, MODULE_WORDS };

/* The first and last address must be those of the table: so it is not taken for another's. */
static bool take_module(struct go_table *t, uint64_t minpc, uint64_t maxpc, uint64_t text)
{
	if (!elf_image__code(t->img, text) || minpc != text + entry_of(t, 0) ||
	    maxpc != text + entry_of(t, t->n))
		return false;
	t->text = text;
	return true;
}

static bool module_hit(struct search *s, uint64_t offset, uint64_t vaddr)
{
	uint64_t m[MODULE_WORDS];

	(void)offset;
	return elf_image__read_at(s->img, vaddr, m, sizeof(m)) &&
	       take_module(s->ctx, m[MODULE_MINPC], m[MODULE_MAXPC], m[MODULE_TEXT]);
}

struct modules {
	uint64_t table; /* what the first word points at */
	size_t n;
	struct {
		uint64_t vaddr, words[MODULE_WORDS];
	} at[CANDIDATES_MAX];
};

static void find_pointer(void *ctx, const Elf64_Rela *r)
{
	struct modules *m = ctx;

	if ((uint64_t)r->r_addend == m->table && m->n < CANDIDATES_MAX)
		m->at[m->n++].vaddr = r->r_offset;
}

static void fill_words(void *ctx, const Elf64_Rela *r)
{
	struct modules *m = ctx;

	for (size_t i = 0; i < m->n; i++) {
		uint64_t in = r->r_offset - m->at[i].vaddr;

		if (in < sizeof(m->at[i].words) && in % 8 == 0)
			m->at[i].words[in / 8] = (uint64_t)r->r_addend;
	}
}

static bool module_by_relocations(struct go_table *t)
{
	struct modules m = { .table = t->vaddr };

	elf_dynamic__each_relative(t->img, &m, find_pointer);
	if (m.n)
		elf_dynamic__each_relative(t->img, &m, fill_words);
	for (size_t i = 0; i < m.n; i++)
		if (take_module(t, m.at[i].words[MODULE_MINPC], m.at[i].words[MODULE_MAXPC],
				m.at[i].words[MODULE_TEXT]))
			return true;
	return false;
}

/* Where Go's code starts. */
static bool find_text(struct go_table *t)
{
	if (t->layout == GO_116)
		return elf_image__code(t->img, entry_of(t, 0)); /* addresses, not to be relocated */
	if (t->header_text && elf_image__code(t->img, t->header_text + entry_of(t, 0))) {
		t->text = t->header_text;
		return true;
	}
	struct search s = { &t->vaddr, 1, module_hit, t->img, t, 0, 0 };

	return search_all(&s, PF_R | PF_W) || search_all(&s, PF_R) || module_by_relocations(t);
}

static void read_functions(struct go_table *t)
{
	unsigned word = word_size(t);

	for (uint64_t i = 0; i < t->n; i++) {
		uint64_t entry = entry_of(t, i), next = entry_of(t, i + 1);
		/* struct _func: its entry again, then the name's offset, 32 bits */
		uint64_t func = t->funcs + word_at(t, t->funcs + (2 * i + 1) * word, word);

		if (func < t->funcs || func > t->len || t->len - func < word + 4)
			continue;
		uint64_t name = word_at(t, func + word, 4);

		if (name >= t->len - t->names)
			continue;
		const char *text = (const char *)t->data + t->names + name;

		if (t->each) {
			t->each(t->ctx, text, t->text + entry, next > entry ? next - entry : 0);
			continue;
		}
		int64_t which = elf_wanted__match(t->w, text, false, NULL);

		if (which >= 0)
			elf_wanted__offer(t->w, which, t->img, t->text + entry,
					  next > entry ? next - entry : 0, 1, ELF_GOPCLNTAB);
	}
	if (t->w)
		elf_wanted__settle(t->w);
}

/* A table at this place? True if so; t->ret says what came of it. */
static bool read_table(struct go_table *t, uint64_t offset, uint64_t vaddr, uint64_t room)
{
	if (room > ELF_TABLE_MAX)
		room = ELF_TABLE_MAX;
	if (!read_header(t, offset, room) || ++t->tried > TABLES_MAX)
		return false;
	t->vaddr = vaddr;
	t->data = elf_image__load(t->img, offset, room, ELF_TABLE_MAX);
	if (!t->data) {
		t->ret = -ENOMEM;
		return true;
	}
	bool ok = find_text(t);

	if (ok && (t->w || t->each))
		read_functions(t);
	t->ret = ok;
	free(t->data);
	t->data = NULL;
	return ok;
}

static bool table_hit(struct search *s, uint64_t offset, uint64_t vaddr)
{
	const struct elf_load *l = elf_image__segment(s->img, vaddr);
	struct go_table *t = s->ctx;

	return l && read_table(t, offset, vaddr, l->filesz - (vaddr - l->vaddr));
}

static int read_any(struct go_table t)
{
	static const char *const names[] = { ".gopclntab", ".data.rel.ro.gopclntab" };
	const struct elf_image *img = t.img;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct elf_section *s = elf_image__section(img, names[i], 0);

		if (s && s->offset <= img->size &&
		    read_table(&t, s->offset, s->addr,
			       s->size < img->size - s->offset ? s->size : img->size - s->offset))
			return t.ret;
	}
	search_all(&(struct search){ magics, 3, table_hit, img, &t, 0, 0 }, PF_R);
	return t.ret;
}

int elf_go__functions(const struct elf_image *img, struct elf_wanted *w)
{
	return read_any((struct go_table){ .img = img, .w = w });
}

int elf_go__each(const struct elf_image *img, void *ctx, elf_go_fn fn)
{
	return read_any((struct go_table){ .img = img, .each = fn, .ctx = ctx });
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Recorded files: what is written is read again; damage and early ends are told; and
 * event__valid(), the gate.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/source/record.h"
#include "user/source/source.h"

static char folder[64], path[100];

static void make_folder(void)
{
	strcpy(folder, "/tmp/weft-test-record-XXXXXX");
	cr_assert(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/shop.weft", folder);
}

static void remove_folder(void)
{
	unlink(path);
	rmdir(folder);
}

TestSuite(record, .init = make_folder, .fini = remove_folder);

/* Any record, with room behind it. */
union any {
	struct weft_event h;
	struct weft_open open;
	struct weft_data data;
	struct weft_proc proc;
	struct record_clock clock;
	struct record_process process;
	struct record_stats stats;
	uint8_t bytes[5000];
};

static struct weft_event *make(union any *a, int kind, size_t size)
{
	memset(a, 0, sizeof(*a));
	a->h.size = (uint32_t)size;
	a->h.kind = (uint8_t)kind;
	a->h.conn = kind < WEFT_EV_FORK ? 7 : 0;
	return &a->h;
}

static struct weft_event *make_data(union any *a, uint32_t len, uint16_t head, uint16_t tail)
{
	make(a, WEFT_EV_DATA, sizeof(struct weft_data) + ((head + tail + 7u) & ~7u));
	a->data.len = len;
	a->data.head = head;
	a->data.tail = tail;
	memset(a->data.bytes, 'x', (size_t)head + tail);
	return &a->h;
}

static struct weft_event *make_process(union any *a, uint32_t n, const char *text, uint32_t len)
{
	make(a, RECORD_PROCESS, sizeof(struct record_process) + ((len + 7) & ~7u));
	a->process.n = n;
	a->process.len = len;
	memcpy(a->bytes + offsetof(struct record_process, text), text, len);
	return &a->h;
}

static bool valid(const union any *a)
{
	return event__valid(&a->h, sizeof(*a));
}

Test(record, valid_sizes_are_exact)
{
	static const struct {
		int kind;
		size_t size;
	} kinds[] = {
		{ WEFT_EV_OPEN, sizeof(struct weft_open) },
		{ WEFT_EV_EOF, sizeof(struct weft_data) },
		{ WEFT_EV_SHUT, sizeof(struct weft_data) },
		{ WEFT_EV_CLOSE, sizeof(struct weft_data) },
		{ WEFT_EV_WRITTEN, sizeof(struct weft_data) },
		{ WEFT_EV_FORK, sizeof(struct weft_proc) },
		{ WEFT_EV_EXEC, sizeof(struct weft_proc) },
		{ WEFT_EV_EXIT, sizeof(struct weft_proc) },
		{ WEFT_EV_SELECT, sizeof(struct weft_proc) },
		{ WEFT_EV_IOURING, sizeof(struct weft_proc) },
		{ WEFT_EV_CONTEXT, sizeof(struct weft_context) },
		{ WEFT_EV_THREAD, sizeof(struct weft_thread) },
		{ RECORD_CLOCK, sizeof(struct record_clock) },
		{ RECORD_STATS, sizeof(struct record_stats) },
	};
	union any a;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t size = kinds[i].size;
		struct weft_event *ev = make(&a, kinds[i].kind, size);

		cr_expect(event__valid(ev, size), "kind %d", kinds[i].kind);
		cr_expect_not(event__valid(ev, size - 1), "kind %d: not all readable",
			      kinds[i].kind);
		ev->size = (uint32_t)size + 8;
		cr_expect_not(valid(&a), "kind %d: longer", kinds[i].kind);
		ev->size = (uint32_t)size - 8;
		cr_expect_not(valid(&a), "kind %d: shorter", kinds[i].kind);
		ev->size = (uint32_t)size - 4;
		cr_expect_not(valid(&a), "kind %d: not a multiple of 8", kinds[i].kind);
	}
}

Test(record, valid_kinds)
{
	union any a;

	for (int kind = 0; kind < 256; kind++) {
		bool known = (kind > WEFT_EV_NONE && kind < WEFT_EV_KERNEL_MAX) ||
			     (kind >= RECORD_CLOCK && kind < RECORD_MAX);
		bool any = false;

		for (size_t size = 0; size < 512; size += 8) {
			make(&a, kind, size);
			a.h.conn = 7;
			if (kind == WEFT_EV_SESSION)
				((struct weft_session *)&a)->what = WEFT_SESSION_OP;
			if (kind == WEFT_EV_FIELDS)
				((struct weft_fields *)&a)->n = 1;
			any |= event__valid(&a.h, sizeof(a));
		}
		cr_expect_eq(any, known, "kind %d", kind);
	}
	make(&a, WEFT_EV_CLOSE, sizeof(struct weft_data));
	for (size_t avail = 0; avail < sizeof(struct weft_event); avail++)
		cr_expect_not(event__valid(&a.h, avail));
}

Test(record, valid_data)
{
	union any a;

	make_data(&a, 1 << 30, WEFT_HEAD_MAX, WEFT_TAIL_MAX);
	cr_expect(valid(&a));
	make_data(&a, 10, 8, 2);
	cr_expect(valid(&a));
	a.data.len = 9;
	cr_expect_not(valid(&a), "more captured than there was");
	make_data(&a, 1 << 20, WEFT_HEAD_MAX + 1, 0);
	cr_expect_not(valid(&a), "head");
	make_data(&a, 1 << 20, 0, WEFT_TAIL_MAX + 1);
	cr_expect_not(valid(&a), "tail");
	make_data(&a, 100, 16, 0);
	a.h.size -= 8;
	cr_expect_not(valid(&a), "bytes beyond the record");
	make_data(&a, 100, 16, 0);
	a.data.dir = 2;
	cr_expect_not(valid(&a), "direction");
	make(&a, WEFT_EV_EOF, sizeof(struct weft_data));
	a.data.dir = 2;
	cr_expect_not(valid(&a), "direction of an end");
}

Test(record, valid_open_and_process)
{
	union any a;

	make(&a, WEFT_EV_OPEN, sizeof(struct weft_open));
	a.open.path_len = WEFT_PATH_LEN;
	cr_expect(valid(&a));
	a.open.path_len = WEFT_PATH_LEN + 1;
	cr_expect_not(valid(&a), "path");
	make(&a, WEFT_EV_OPEN, sizeof(struct weft_open));
	a.open.role = WEFT_ROLE_SERVER + 1;
	cr_expect_not(valid(&a), "role");

	make(&a, WEFT_EV_EXEC, sizeof(struct weft_proc));
	memset(a.proc.comm, 'x', sizeof(a.proc.comm));
	cr_expect_not(valid(&a), "a name without an end");

	make_process(&a, 2,
		     "service.name\0shop\0process.pid\0"
		     "12",
		     33);
	cr_expect(valid(&a));
	make_process(&a, 0, "", 0);
	cr_expect(valid(&a), "a process of which nothing is known");
	make_process(&a, 1,
		     "service.name\0shop\0process.pid\0"
		     "12",
		     33);
	cr_expect_not(valid(&a), "more strings than said");
	make_process(&a, 3,
		     "service.name\0shop\0process.pid\0"
		     "12",
		     33);
	cr_expect_not(valid(&a), "fewer strings than said");
	make_process(&a, 2,
		     "service.name\0shop\0process.pid\0"
		     "12",
		     32);
	cr_expect_not(valid(&a), "the last one has no end");
	make_process(&a, 1, "service.name\0shop", 18);
	a.process.len = 1000;
	cr_expect_not(valid(&a), "text beyond the record");
	a.process.len = UINT32_MAX;
	cr_expect_not(valid(&a), "text beyond the record");
}

/* Reading */

struct seen {
	uint64_t n, bytes;
	uint32_t last_off;
	bool ordered;
};

static void see(void *ctx, const struct weft_event *ev)
{
	struct seen *s = ctx;
	const struct weft_data *d = (const void *)ev;

	cr_assert(event__valid(ev, ev->size));
	cr_assert_eq((uintptr_t)ev % 8, 0);
	s->n++;
	if (ev->kind != WEFT_EV_DATA)
		return;
	cr_assert_eq(d->off, s->last_off + 1);
	s->last_off = d->off;
	for (unsigned i = 0; i < d->head; i++)
		cr_assert_eq(d->bytes[i], (uint8_t)(d->off + i));
	s->bytes += d->head;
}

static void write_many(unsigned n)
{
	char why[200] = "";
	struct recorder *r = recorder__open(path, why, sizeof(why));
	union any a;

	cr_assert(r, "%s", why);
	for (unsigned i = 1; i <= n; i++) {
		uint16_t head = (uint16_t)(i * 37 % (WEFT_HEAD_MAX + 1));

		make_data(&a, head, head, 0);
		a.data.off = i;
		for (unsigned k = 0; k < head; k++)
			a.data.bytes[k] = (uint8_t)(i + k);
		cr_assert_eq(recorder__write(r, &a.h), 0);
	}
	cr_assert_eq(recorder__close(r), 0);
}

/* Reads to the end; what poll() says there. The source must be closed. */
static int read_all(struct source **s, struct seen *seen)
{
	char why[200] = "";
	int n;

	*s = source__file(path, why, sizeof(why));
	cr_assert(*s, "%s", why);
	while ((n = source__poll(*s, see, seen, 7)) > 0)
		cr_assert(n <= 7);
	cr_assert_eq(source__poll(*s, see, seen, 7), n);
	cr_assert_eq((*s)->received, seen->n);
	return n;
}

Test(record, written_is_read)
{
	struct seen seen = { 0 };
	struct source *s;
	struct stat st;

	write_many(3000); /* some 6 MB: many times the buffers' size */
	cr_expect_eq(read_all(&s, &seen), -ENODATA);
	cr_expect_str_empty(s->error);
	cr_expect_eq(seen.n, 3000);
	cr_expect_eq(seen.last_off, 3000);
	source__close(s);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600, "captured bytes are nobody else's business");
}

Test(record, cut_at_every_byte)
{
	struct stat st;

	write_many(4);
	cr_assert_eq(stat(path, &st), 0);
	for (off_t len = st.st_size - 1; len >= 16; len--) {
		struct seen seen = { 0 };
		struct source *s;

		cr_assert_eq(truncate(path, len), 0);
		cr_assert_eq(read_all(&s, &seen), -ENODATA);
		/* Records of 88, 128, 160, 200 bytes: 48 + 37 i, rounded up to 8 */
		static const off_t ends[] = { 16, 104, 232, 392, 592 };
		uint64_t whole = 0;
		bool clean = false;

		for (size_t i = 0; i < 5; i++) {
			if (len > ends[i] || (len == ends[i] && i > 0))
				whole = len >= ends[i] ? i : whole;
			clean |= len == ends[i];
		}
		cr_expect_eq(seen.n, whole, "%ld bytes: %lu records", (long)len,
			     (unsigned long)seen.n);
		cr_expect_eq(s->error[0] == '\0', clean, "%ld bytes: \"%s\"", (long)len, s->error);
		source__close(s);
	}
}

static void overwrite(off_t at, const void *bytes, size_t n)
{
	int fd = open(path, O_WRONLY);

	cr_assert_eq(pwrite(fd, bytes, n, at), (ssize_t)n);
	close(fd);
}

Test(record, damage_is_told)
{
	static const struct {
		uint32_t size;
		const char *says;
	} bad[] = {
		{ 24, "damaged at byte 232: record 3 (kind 2, 24 bytes) is shorter" },
		{ 0, "shorter than a record's header" },
		{ 161, "not a multiple of 8" },
		{ 0x7ffffff8, "longer than any record" },
		{ 0xfffffff8, "longer than any record" },
		{ 40, "not what a record of its kind can be" },
		{ 65528, "ends in the middle of record 3 (360 bytes of it, at byte 232)" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct seen seen = { 0 };
		struct source *s;

		write_many(4);
		overwrite(232, &bad[i].size, 4);
		cr_expect_eq(read_all(&s, &seen), bad[i].size == 65528 ? -ENODATA : -EBADMSG);
		cr_expect_eq(seen.n, 2);
		cr_expect_eq(s->malformed, bad[i].size == 65528 ? 0 : 1);
		cr_expect(strstr(s->error, bad[i].says), "\"%s\"", s->error);
		cr_expect_null(strchr(s->error, '\n'));
		source__close(s);
	}
}

Test(record, headers_are_checked)
{
	static const struct {
		const char *says;
		off_t at;
		const char bytes[5];
	} bad[] = {
		{ "neither a weft recording nor", 4, "ward" },
		{ "recording format 9, this weft reads 1 to 5", 8, "\x09\0\0\0" },
		{ "other byte order", 12, "\x01\x02\x03\x04" },
		{ "damaged header", 12, "\x04\x04\x04\x04" },
	};
	char why[200];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_many(1);
		overwrite(bad[i].at, bad[i].bytes, 4);
		why[0] = '\0';
		cr_expect_null(source__file(path, why, sizeof(why)));
		cr_expect(strstr(why, bad[i].says), "\"%s\"", why);
	}
	write_many(1);
	cr_assert_eq(truncate(path, 15), 0);
	cr_expect_null(source__file(path, why, sizeof(why)));
	cr_expect(strstr(why, "ends before a recording's header does"), "\"%s\"", why);
	write_many(0);
	struct seen seen = { 0 };
	struct source *s;

	cr_expect_eq(read_all(&s, &seen), -ENODATA, "nothing was recorded: no error");
	cr_expect_str_empty(s->error);
	source__close(s);
}

/* A recording that is still being written into a pipe. */
Test(record, a_pipe_is_followed)
{
	static char bytes[600];
	struct seen seen = { 0 };
	char why[200] = "", name[40];
	int ends[2];

	write_many(4);
	int fd = open(path, O_RDONLY);

	cr_assert_eq(read(fd, bytes, sizeof(bytes)), 592);
	close(fd);
	cr_assert_eq(pipe(ends), 0);
	snprintf(name, sizeof(name), "/dev/fd/%d", ends[0]);
	cr_assert_eq(write(ends[1], bytes, 104), 104);
	struct source *s = source__file(name, why, sizeof(why));

	cr_assert(s, "%s", why);
	cr_expect_eq(source__poll(s, see, &seen, 10), 1);
	cr_expect_eq(source__poll(s, see, &seen, 10), 0, "does not wait");
	cr_assert_eq(write(ends[1], bytes + 104, 592 - 104), 592 - 104);
	cr_expect_eq(source__poll(s, see, &seen, 10), 3);
	close(ends[1]);
	cr_expect_eq(source__poll(s, see, &seen, 10), -ENODATA);
	cr_expect_str_empty(s->error);
	source__close(s);
	close(ends[0]);
}

/* Writing */

Test(record, links_and_bad_places_are_refused)
{
	char why[200] = "", other[110];

	snprintf(other, sizeof(other), "%s.target", path);
	cr_assert_eq(symlink(other, path), 0);
	cr_expect_null(recorder__open(path, why, sizeof(why)));
	cr_expect(strstr(why, "symbolic link"), "\"%s\"", why);
	cr_expect_eq(access(other, F_OK), -1);
	cr_expect_null(recorder__open("/nowhere/at/all", why, sizeof(why)));
	cr_expect(strstr(why, "No such file"), "\"%s\"", why);
	cr_expect_null(recorder__open(folder, why, sizeof(why)));
	unlink(path);
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_expect_null(recorder__open(path, why, sizeof(why)), "a FIFO nobody reads");
}

Test(record, an_old_file_becomes_private)
{
	struct stat st;
	int fd = open(path, O_CREAT | O_WRONLY, 0644);

	cr_assert_eq(write(fd, "old", 3), 3);
	cr_assert_eq(fchmod(fd, 0644), 0);
	close(fd);
	write_many(0);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
	cr_expect_eq(st.st_size, 16);
}

Test(record, bad_records_are_not_written)
{
	char why[200] = "";
	struct recorder *r = recorder__open(path, why, sizeof(why));
	static const uint32_t bad[] = { 0, 8, 31, 33, 4100, RECORD_SIZE_MAX + 8, 0xfffffff8 };
	union any a;

	cr_assert(r, "%s", why);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make(&a, WEFT_EV_CLOSE, bad[i]);
		cr_expect_eq(recorder__write(r, &a.h), -EINVAL, "%u", bad[i]);
	}
	make(&a, WEFT_EV_CLOSE, sizeof(struct weft_data));
	cr_expect_eq(recorder__write(r, &a.h), 0);
	cr_expect_eq(recorder__close(r), 0);
	struct seen seen = { 0 };
	struct source *s;

	cr_expect_eq(read_all(&s, &seen), -ENODATA);
	cr_expect_eq(seen.n, 1);
	source__close(s);
}

/* A full disk: the first failed write is the last; what was written before is a good recording. */
Test(record, a_full_disk_ends_it)
{
	struct rlimit small = { .rlim_cur = 200000, .rlim_max = RLIM_INFINITY };
	char why[200] = "";
	struct recorder *r = recorder__open(path, why, sizeof(why));
	union any a;
	int err = 0, n = 0;

	cr_assert(r, "%s", why);
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	make_data(&a, 4096, 4096, 0);
	for (; n < 200 && !err; n++) {
		a.data.off = (uint32_t)n + 1;
		for (unsigned k = 0; k < 4096; k++)
			a.data.bytes[k] = (uint8_t)(a.data.off + k);
		err = recorder__write(r, &a.h);
	}
	cr_expect_eq(err, -EFBIG);
	cr_expect(n < 100);
	cr_expect_eq(recorder__write(r, &a.h), -EFBIG, "stays failed");
	cr_expect_eq(recorder__close(r), -EFBIG);
	struct seen seen = { 0 };
	struct source *s;

	cr_expect_eq(read_all(&s, &seen), -ENODATA);
	cr_expect_eq(seen.n, (200000 - 16) / a.h.size);
	cr_expect(strstr(s->error, "ends in the middle"), "\"%s\"", s->error);
	source__close(s);
	/* And one that says it at the end only: a device that is always full. */
	r = recorder__open("/dev/full", why, sizeof(why));
	cr_assert(r, "%s", why);
	cr_expect_eq(recorder__close(r), -ENOSPC);
}

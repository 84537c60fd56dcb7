// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What putting a helper into Node.js needs of the kernel: where its cell is, and who handles a
 * signal.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

void nodejs__leave_out(struct bpf_object *obj)
{
	static const char *const names[] = { NODE_ANNOUNCED, NODE_SIGNALS };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct bpf_program *prog = bpf_object__find_program_by_name(obj, names[i]);

		if (prog)
			bpf_program__set_autoload(prog, false);
	}
}

int kernel__await_announcement(struct kernel *k, pid_t pid, uint16_t port, const uint8_t *key)
{
	struct announced a = { .pid = (uint32_t)pid, .port = port };
	uint32_t zero = 0;
	int err;

	if (programs__fd(k, NODE_ANNOUNCED) < 0)
		return -EOPNOTSUPP;
	memcpy(a.key, key, sizeof(a.key));
	err = bpf_map_update_elem(k->map.announced, &zero, &a, BPF_ANY);
	if (err)
		return err;
	int link = k->announced_link ? k->announced_link
				     : backends__attach_later(k, NODE_ANNOUNCED);

	if (link < 0)
		return link;
	k->announced_link = link;
	return 0;
}

uint64_t kernel__announced(struct kernel *k)
{
	struct announced a = { 0 };
	uint32_t zero = 0;

	return bpf_map_lookup_elem(k->map.announced, &zero, &a) ? 0 : a.at;
}

void kernel__stop_awaiting(struct kernel *k)
{
	struct announced none = { 0 };
	uint32_t zero = 0;

	(void)bpf_map_update_elem(k->map.announced, &zero, &none, BPF_ANY);
	nodejs__free(k);
}

void nodejs__free(struct kernel *k)
{
	if (k->announced_link)
		close(k->announced_link);
	k->announced_link = 0;
}

/* Reads what the iterator gives, record by record. */
static int nodejs__read(int fd, pid_t pid, struct signal_action *out)
{
	struct signal_action s[128];
	size_t have = 0;
	ssize_t n;

	while ((n = read(fd, (char *)s + have, sizeof(s) - have)) > 0) {
		have += (size_t)n;
		for (size_t i = 0; i < have / sizeof(s[0]); i++)
			if (s[i].pid == (uint32_t)pid) {
				*out = s[i];
				return 0;
			}
		memmove(s, &s[have / sizeof(s[0])], have % sizeof(s[0]));
		have %= sizeof(s[0]);
	}
	return n < 0 ? -errno : -ESRCH;
}

int kernel__signal(struct kernel *k, pid_t pid, struct signal_action *out)
{
	int prog = programs__fd(k, NODE_SIGNALS), link, fd, err;

	if (prog < 0)
		return -EOPNOTSUPP;
	link = bpf_link_create(prog, 0, BPF_TRACE_ITER, NULL);
	if (link < 0)
		return link;
	fd = bpf_iter_create(link);
	err = fd < 0 ? fd : nodejs__read(fd, pid, out);
	if (fd >= 0)
		close(fd);
	close(link);
	return err;
}

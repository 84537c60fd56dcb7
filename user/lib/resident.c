// SPDX-License-Identifier: GPL-2.0-or-later
#include "resident.h"

#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEGMENTS_MAX 8

/* Was its code changed when it was loaded? Then it is not what the file has. */
static bool relocates_code(const struct dl_phdr_info *object)
{
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];
		const ElfW(Dyn) *d = (const void *)(uintptr_t)(object->dlpi_addr + p->p_vaddr);

		for (; p->p_type == PT_DYNAMIC && d->d_tag != DT_NULL; d++)
			if (d->d_tag == DT_TEXTREL ||
			    (d->d_tag == DT_FLAGS && d->d_un.d_val & DF_TEXTREL))
				return true;
	}
	return false;
}

/*
 * Segments that were never written to are pages of the file, in the kernel's cache; to map one
 * again is a minor fault. What relocations were written to belongs to segments with PF_W, also where
 * it is read-only now.
 */
static int drop(struct dl_phdr_info *object, size_t size, void *page_size)
{
	uintptr_t page = *(const uintptr_t *)page_size, at[SEGMENTS_MAX], len[SEGMENTS_MAX];
	size_t n = 0;

	(void)size;
	if (relocates_code(object))
		return 0;
	for (int i = 0; i < object->dlpi_phnum && n < SEGMENTS_MAX; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];

		if (p->p_type != PT_LOAD || p->p_flags & PF_W)
			continue;
		at[n] = (object->dlpi_addr + p->p_vaddr) & ~(page - 1);
		len[n] = object->dlpi_addr + p->p_vaddr + p->p_filesz - at[n];
		n++;
	}
	/* not before: the headers are in one of them */
	while (n--)
		(void)madvise((void *)at[n], len[n], MADV_DONTNEED);
	return 0;
}

void resident__give_back(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	dl_iterate_phdr(drop, &page);
	malloc_trim(0);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Doubly linked lists through a member of the element. */
#ifndef WEFT_LIST_H
#define WEFT_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define LIST_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
/* Safe against taking out the element `it` points to. */
#define LIST_EACH(it, tmp, head)                                                                   \
	for (struct list *it = (head)->next, *tmp = it->next; it != (head);                        \
	     it = tmp, tmp = it->next)

static inline void list__init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list__empty(const struct list *l)
{
	return l->next == l;
}

static inline void list__append(struct list *head, struct list *e)
{
	e->prev = head->prev;
	e->next = head;
	head->prev->next = e;
	head->prev = e;
}

/* Takes e out of its list; e is then an empty list, so taking it out twice is harmless. */
static inline void list__remove(struct list *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	list__init(e);
}

#endif

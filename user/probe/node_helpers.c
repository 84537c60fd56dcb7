// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One process after the other: those of one network namespace have one port for their inspectors. A
 * thread does that, and takes nothing from the other but PIDs, and gives nothing back but results.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/clock.h"
#include "../lib/list.h"
#include "../lib/log.h"
#include "inspector.h"
#include "node_cell.h"

#define MS_NS 1000000ull
#define SETTLE_NS (500 * MS_NS) /* until a program that begins can be spoken to */
#define AGAIN_NS (100 * MS_NS)
#define TRIES_MAX 50
#define BEAT_NS (1000 * MS_NS)
#define LEAVING_MS 2000

enum job_state {
	JOB_WAITING = 0, /* for its turn */
	JOB_UNDER_WAY,
	JOB_DONE, /* not told of yet */
	JOB_AT_WORK,
	JOB_OVER, /* to be forgotten */
};

struct job {
	struct list all;
	pid_t pid;
	enum job_state state;
	bool began; /* nobody waits for it */
	bool gone;  /* the process ended, or runs another program */
	uint64_t next;
	unsigned tries;
	int err;
	struct node_cell_at cell;
	char name[LISTENER_NAME_MAX];
	char why[256];
};

struct node_helpers {
	struct kernel *kernel;
	pthread_t thread;
	pthread_mutex_t lock; /* over all below */
	pthread_cond_t changed;
	struct list jobs;
	bool ending;
	uint64_t beaten;
};

/* ---- the thread ---- */

/* The next whose time has come; NULL: none. `wait`: until when there can be none. */
static struct job *next_job(struct node_helpers *h, uint64_t now, uint64_t *wait)
{
	*wait = UINT64_MAX;
	LIST_EACH (it, tmp, &h->jobs) {
		struct job *j = LIST_OF(it, struct job, all);

		if (j->state != JOB_WAITING || j->gone)
			continue;
		if (j->next <= now)
			return j;
		*wait = j->next < *wait ? j->next : *wait;
	}
	return NULL;
}

/* The lock is held, but not while it is done. */
static void do_job(struct node_helpers *h, struct job *j)
{
	struct node_cell_at cell;
	char name[sizeof(j->name)] = "", why[sizeof(j->why)] = "";

	j->state = JOB_UNDER_WAY;
	pthread_mutex_unlock(&h->lock);
	int err = node_helper__put_in(h->kernel, j->pid, &cell, name, sizeof(name), why,
				      sizeof(why));
	pthread_mutex_lock(&h->lock);
	if (err == -EAGAIN && ++j->tries < (j->began ? TRIES_MAX : 1)) {
		j->state = JOB_WAITING;
		j->next = clock__boottime() + AGAIN_NS;
		return;
	}
	j->state = JOB_DONE;
	j->err = err;
	j->cell = cell;
	memcpy(j->name, name, sizeof(name));
	memcpy(j->why, why, sizeof(why));
}

static void *work(void *ctx)
{
	struct node_helpers *h = ctx;

	pthread_mutex_lock(&h->lock);
	while (!h->ending) {
		uint64_t now = clock__boottime(), wait;
		struct job *j = next_job(h, now, &wait);

		if (j) {
			do_job(h, j);
		} else if (wait == UINT64_MAX) {
			pthread_cond_wait(&h->changed, &h->lock);
		} else {
			pthread_mutex_unlock(&h->lock);
			clock__sleep_ms(20);
			pthread_mutex_lock(&h->lock);
		}
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

/* ---- the others ---- */

struct node_helpers *node_helpers__new(struct kernel *k, char *why, size_t why_len)
{
	struct node_helpers *h = inspector__load(why, why_len) ? NULL : calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->kernel = k;
	list__init(&h->jobs);
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->changed, NULL);
	if (pthread_create(&h->thread, NULL, work, h) == 0)
		return h;
	free(h);
	return NULL;
}

static void gone(struct node_helpers *h, pid_t pid)
{
	LIST_EACH (it, tmp, &h->jobs) {
		struct job *j = LIST_OF(it, struct job, all);

		if (j->pid == pid)
			j->gone = true;
	}
}

void node_helpers__exit(struct node_helpers *h, pid_t pid)
{
	pthread_mutex_lock(&h->lock);
	gone(h, pid);
	pthread_mutex_unlock(&h->lock);
}

void node_helpers__consider(struct node_helpers *h, pid_t pid, bool began)
{
	struct job *j = node_helper__is_node(pid) ? calloc(1, sizeof(*j)) : NULL;

	pthread_mutex_lock(&h->lock);
	gone(h, pid); /* what it was before */
	if (j) {
		j->pid = pid;
		j->began = began;
		j->next = began ? clock__boottime() + SETTLE_NS : 0;
		list__append(&h->jobs, &j->all);
		pthread_cond_signal(&h->changed);
	}
	pthread_mutex_unlock(&h->lock);
}

bool node_helpers__busy(const struct node_helpers *h)
{
	struct node_helpers *mine = (struct node_helpers *)h;
	bool busy = false;

	pthread_mutex_lock(&mine->lock);
	LIST_EACH (it, tmp, &mine->jobs) {
		const struct job *j = LIST_OF(it, struct job, all);

		busy |= !j->began && !j->gone && j->state < JOB_AT_WORK;
	}
	pthread_mutex_unlock(&mine->lock);
	return busy;
}

static void tell(struct job *j)
{
	j->state = j->err ? JOB_OVER : JOB_AT_WORK;
	if (!j->err)
		log_info(
			"node helper: put into pid %d, whose inspector was open for that at %s; it goes when weft ends",
			(int)j->pid, j->name);
	else if (!j->gone)
		log_warn("node helper: not put into pid %d: %s", (int)j->pid, j->why);
}

static void beat(struct job *j)
{
	int err = node_helper__beat(&j->cell);

	if (!err)
		return;
	j->state = JOB_OVER;
	if (err == -EIDRM)
		log_warn(
			"node helper: it has left pid %d, as weft gave no sign of life for too long, or another weft came",
			(int)j->pid);
}

void node_helpers__tick(struct node_helpers *h, uint64_t now)
{
	bool beats = now >= h->beaten + BEAT_NS;

	if (beats)
		h->beaten = now;
	pthread_mutex_lock(&h->lock);
	LIST_EACH (it, tmp, &h->jobs) {
		struct job *j = LIST_OF(it, struct job, all);

		if (j->state == JOB_DONE)
			tell(j);
		if (j->state == JOB_AT_WORK && beats && !j->gone)
			beat(j);
		if (j->state == JOB_OVER || (j->gone && j->state != JOB_UNDER_WAY)) {
			list__remove(&j->all);
			free(j);
		}
	}
	pthread_mutex_unlock(&h->lock);
}

/* How many are still there; those that have gone are told of once. */
static size_t still_there(struct node_helpers *h)
{
	size_t n = 0;

	LIST_EACH (it, tmp, &h->jobs) {
		struct job *j = LIST_OF(it, struct job, all);
		int err = j->state == JOB_AT_WORK ? node_helper__look(&j->cell) : -ESRCH;

		n += !err;
		if (err == -EIDRM && j->state == JOB_AT_WORK)
			log_info("node helper: gone from pid %d", (int)j->pid);
		if (err)
			j->state = JOB_OVER;
	}
	return n;
}

static void take_out(struct node_helpers *h)
{
	LIST_EACH (it, tmp, &h->jobs) {
		struct job *j = LIST_OF(it, struct job, all);

		if (j->state == JOB_DONE)
			tell(j);
		if (j->state == JOB_AT_WORK)
			node_helper__dismiss(&j->cell);
	}
	for (unsigned ms = 0; still_there(h) && ms < LEAVING_MS; ms += 10)
		clock__sleep_ms(10);
	LIST_EACH (it, tmp, &h->jobs) {
		struct job *j = LIST_OF(it, struct job, all);

		if (j->state == JOB_AT_WORK)
			log_warn(
				"node helper: pid %d is too busy to let it go at once; it goes when the program comes to it",
				(int)j->pid);
		free(j);
	}
}

void node_helpers__free(struct node_helpers *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->ending = true;
	pthread_cond_signal(&h->changed);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	take_out(h);
	pthread_cond_destroy(&h->changed);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

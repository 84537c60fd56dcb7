// SPDX-License-Identifier: GPL-2.0-or-later
/* Connections whose addresses are others at each end (NAT): the ends find one another by positions. */
#include <criterion/criterion.h>

#include "../lib/shop_feed.h"

#define OK200 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define ASKER 50
#define SHOP 100

/* One exchange; the client's end is connection `c`, the server's `s`. */
static void exchange(struct feed *f, unsigned c, unsigned s, const char *path)
{
	feed__write(f, c, ASKER, ASKER, get(path));
	feed__read(f, s, SHOP, SHOP, get(path));
	feed__write(f, s, SHOP, SHOP, OK200);
	feed__read(f, c, ASKER, ASKER, OK200);
}

Test(translated, both_ends)
{
	struct feed *f = feed__new();

	feed__translated(f, 1, ASKER, 50001, 8000, WEFT_ROLE_CLIENT, 7);
	feed__translated(f, 2, SHOP, 80, 61001, WEFT_ROLE_SERVER, 7);
	exchange(f, 1, 2, "/one");
	exchange(f, 1, 2, "/two");
	feed__finish(f);
	cr_expect(feed__is_child(server(f, "/one"), client(f, "/one"), "socket"));
	cr_expect(feed__is_child(server(f, "/two"), client(f, "/two"), "socket"));
	feed__free(f);
}

/* The server takes its time to read; meanwhile others come and go, also such as have no other end. */
Test(translated, other_end_comes_late)
{
	struct feed *f = feed__new();

	feed__translated(f, 1, ASKER, 50001, 8000, WEFT_ROLE_CLIENT, 7);
	feed__translated(f, 2, SHOP, 80, 61001, WEFT_ROLE_SERVER, 7);
	feed__write(f, 1, ASKER, ASKER, get("/late"));
	for (unsigned i = 0; i < 20; i++) {
		feed__translated(f, 3 + i, SHOP, 80, (uint16_t)(62001 + i), WEFT_ROLE_SERVER,
				 (uint16_t)(100 + i));
		feed__read(f, 3 + i, SHOP, SHOP, get("/other"));
		feed__write(f, 3 + i, SHOP, SHOP, OK200);
		feed__wait(f, 1000);
	}
	feed__read(f, 2, SHOP, SHOP, get("/late"));
	feed__write(f, 2, SHOP, SHOP, OK200);
	feed__read(f, 1, ASKER, ASKER, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(server(f, "/late"), client(f, "/late"), "socket"));
	feed__free(f);
}

/* Of several behind one address each finds its own, whichever end is seen first. */
Test(translated, several)
{
	struct feed *f = feed__new();
	char path[16];

	for (unsigned i = 0; i < 50; i++) {
		feed__translated(f, 2 * i + 1, ASKER, (uint16_t)(50001 + i), 8000, WEFT_ROLE_CLIENT,
				 (uint16_t)(100 + i));
		feed__translated(f, 2 * i + 2, SHOP, 80, (uint16_t)(61001 + i), WEFT_ROLE_SERVER,
				 (uint16_t)(100 + i));
	}
	for (unsigned i = 0; i < 100; i++) {
		unsigned c = i % 50;

		snprintf(path, sizeof(path), "/%u", i);
		if (c % 2) {
			exchange(f, 2 * c + 1, 2 * c + 2, path);
			continue;
		}
		feed__read(f, 2 * c + 2, SHOP, SHOP, get(path));
		feed__write(f, 2 * c + 1, ASKER, ASKER, get(path));
		feed__write(f, 2 * c + 2, SHOP, SHOP, OK200);
		feed__read(f, 2 * c + 1, ASKER, ASKER, OK200);
	}
	feed__finish(f);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(path, sizeof(path), "/%u", i);
		cr_expect(feed__is_child(server(f, path), client(f, path), "socket"), "%s", path);
	}
	feed__free(f);
}

/* They were open, and one end is first seen in the middle of an exchange: the next request will do. */
Test(translated, open_before)
{
	struct feed *f = feed__new();

	feed__translated(f, 2, SHOP, 80, 61001, WEFT_ROLE_UNKNOWN, 7);
	feed__read(f, 2, SHOP, SHOP, get("/zero"));
	/* the client's writing was not seen */
	feed__translated(f, 1, ASKER, 50001, 8000, WEFT_ROLE_UNKNOWN, 7);
	feed__skip(f, 1, WEFT_OUT, (uint32_t)strlen(get("/zero")));
	feed__write(f, 2, SHOP, SHOP, OK200);
	feed__read(f, 1, ASKER, ASKER, OK200);
	for (int i = 0; i < 3; i++)
		exchange(f, 1, 2, (const char *[]){ "/one", "/two", "/three" }[i]);
	feed__finish(f);
	cr_expect(feed__is_root(server(f, "/zero")));
	cr_expect(feed__is_child(server(f, "/two"), client(f, "/two"), "socket"));
	cr_expect(feed__is_child(server(f, "/three"), client(f, "/three"), "socket"));
	feed__free(f);
}

/* A relay in between has two connections, whatever it passes on: they are not one. */
Test(translated, relay)
{
	struct feed *f = feed__new();

	feed__translated(f, 1, ASKER, 50001, 8000, WEFT_ROLE_CLIENT, 7);
	feed__translated(f, 2, SHOP, 80, 61001, WEFT_ROLE_SERVER, 8);
	exchange(f, 1, 2, "/one");
	feed__finish(f);
	cr_expect(feed__is_root(server(f, "/one")));
	feed__free(f);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* Numbers that come again: sockets' addresses, threads, processes. What ended is nobody's parent. */
#include <criterion/criterion.h>

#include "../lib/shop_feed.h"

#define OK200 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define SHOP 100
#define WEB 200

/*
 * A Unix connection a request, as nginx makes them: the next pair of sockets has the addresses of
 * the last. The first call is still held, for the request it belongs to goes on; the second one's
 * reader is seen before its writer.
 */
Test(reuse, unix_sockets_at_the_same_addresses)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, WEB, 21, 40001, 80);
	feed__read(f, 1, WEB, 21, get("/long"));
	feed__unix(f, 2, WEB, WEFT_ROLE_CLIENT, 0x1000, 0x2000);
	feed__unix(f, 3, SHOP, WEFT_ROLE_SERVER, 0x2000, 0x1000);
	feed__write(f, 2, WEB, 21, get("/first"));
	feed__read(f, 3, SHOP, 11, get("/first"));
	feed__write(f, 3, SHOP, 11, OK200);
	feed__read(f, 2, WEB, 21, OK200);
	feed__close(f, 2);
	feed__close(f, 3);
	feed__unix(f, 4, WEB, WEFT_ROLE_CLIENT, 0x1000, 0x2000);
	feed__unix(f, 5, SHOP, WEFT_ROLE_SERVER, 0x2000, 0x1000);
	feed__read(f, 5, SHOP, 11, get("/second"));
	feed__write(f, 4, WEB, 22, get("/second"));
	feed__write(f, 5, SHOP, 11, OK200);
	feed__read(f, 4, WEB, 22, OK200);
	feed__write(f, 1, WEB, 21, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(server(f, "/first"), client(f, "/first"), "socket"));
	cr_expect(feed__is_child(server(f, "/second"), client(f, "/second"), "socket"));
	feed__free(f);
}

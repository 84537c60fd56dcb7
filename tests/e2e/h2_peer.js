// SPDX-License-Identifier: GPL-2.0-or-later
// One side of HTTP/2 in Node.js, for connections that weft joins in their middle: methods, statuses and other fields come again and
// again, so they are numbers on the wire by then. What a request is follows from its path, /item/ID.
//
//   h2_peer.js server PORT [KEY CERT]   answers, until it is killed; its first line says that it listens
//   h2_peer.js client URL               asks, a few at a time; says "ready" when each kind was asked for; a line on stdin: so many
//                                       more, and it prints the first and the last id of these, and ends
"use strict";
const fs = require("fs");
const http2 = require("http2");
const readline = require("readline");

const METHODS = ["GET", "PUT", "REPORT", "POST", "DELETE", "PATCH", "SEARCH"];
const STATUSES = [200, 201, 418, 503, 202];
const AT_ONCE = 4, BEFORE = 70, PAUSE_MS = 3;

function serve(port, key, cert) {
	const server = key ? http2.createSecureServer({ key: fs.readFileSync(key), cert: fs.readFileSync(cert) }) : http2.createServer();
	server.on("stream", (stream, headers) => {
		const id = Number(headers[":path"].split("/")[2]) || 0;
		stream.on("error", () => {});
		stream.resume();
		stream.on("end", () => {
			stream.respond({ ":status": STATUSES[id % 5], "content-type": "text/plain", "x-served-by": "h2_peer" });
			stream.end(`item ${id}\n`);
		});
	});
	server.listen(port, "127.0.0.1", () => console.log("listens"));
}

function ask(url) {
	const session = http2.connect(url, { rejectUnauthorized: false });
	let next = 0, first = Infinity, last = Infinity, open = 0;
	const one = () => {
		if (next > last) {
			if (!open)
				session.close();
			return;
		}
		const id = next++;
		open++;
		const stream = session.request({ ":method": METHODS[id % 7], ":path": `/item/${id}`, "user-agent": "h2_peer/1" });
		stream.resume();
		stream.on("error", e => { throw e; });
		stream.on("close", () => {
			open--;
			if (id === BEFORE)
				console.log("ready");
			setTimeout(one, PAUSE_MS);
		});
		stream.end();
	};
	for (let i = 0; i < AT_ONCE; i++)
		one();
	readline.createInterface({ input: process.stdin }).once("line", line => {
		first = next;
		last = first + Number(line) - 1;
		console.log(JSON.stringify([first, last]));
	});
	session.on("close", () => process.exit(0));
}

if (process.argv[2] === "server")
	serve(...process.argv.slice(3));
else
	ask(process.argv[3]);

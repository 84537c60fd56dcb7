// SPDX-License-Identifier: GPL-2.0-or-later
// Node's two sides of HTTPS.
//   tls_peer.js server PORT CERTIFICATE KEY LOG   the same answers and log as tls_server.py's; HTTP/1.1 and HTTP/2, by ALPN
//   tls_peer.js client PORT CONNECTIONS REQUESTS FIRST-ID   as tls_client.py; requests of all connections interleave
//   tls_peer.js postgres PORT COUNT FIRST-ID      queries over TLS by the "pg" package, as tls_client.py
"use strict";
const fs = require("fs"), http2 = require("http2"), https = require("https"), readline = require("readline");

function server(port, certificate, key, log) {
	const out = fs.openSync(log, "a");
	const options = { cert: fs.readFileSync(certificate), key: fs.readFileSync(key), allowHTTP1: true };
	http2.createSecureServer(options, (request, response) => {
		const url = new URL(request.url, "https://localhost"), status = +url.pathname.split("/")[2];
		const socket = request.stream ? request.stream.session.socket : request.socket;
		request.resume().on("end", () => {
			fs.writeSync(out, JSON.stringify([request.method, request.url, status, socket.remotePort]) + "\n");
			response.writeHead(status, { "content-length": url.searchParams.get("size") || "5" });
			response.end("x".repeat(+(url.searchParams.get("size") || "5")));
		});
	}).listen(+port, "127.0.0.1", 200);
}

const go = () => new Promise(resolve => readline.createInterface({ input: process.stdin }).once("line", resolve));
// Unix time of the fine clock's zero: read when a millisecond begins, and only if nothing came between the two readings.
function epochOf() {
	for (;;) {
		const then = Date.now();
		let before, date;
		do {
			before = process.hrtime.bigint();
			date = Date.now();
		} while (date === then);
		const after = process.hrtime.bigint();
		if (after - before < 100000n)
			return BigInt(date) * 1000000n - after;
	}
}

const epoch = epochOf(), now = () => Number(process.hrtime.bigint() + epoch);

async function client(port, connections, requests, first) {
	const made = [];
	const one = (agent, id) => new Promise((resolve, reject) => {
		const status = id % 7 ? 200 : 404, method = id % 5 ? "GET" : "POST", path = `/w/${status}/${id}`, began = now();
		const request = https.request({ host: "127.0.0.1", port: +port, agent, method, path, rejectUnauthorized: false }, answer => {
			const local = request.socket.localPort;
			answer.resume().on("end", () => {
				made.push([method, path, answer.statusCode, local, began, now()]);
				resolve();
			});
		}).on("error", reject);
		request.end(method === "POST" ? "b".repeat(3000) : undefined);
	});
	const agents = Array.from({ length: +connections }, () => new https.Agent({ keepAlive: true, maxSockets: 1 }));
	await Promise.all(agents.map((agent, i) => one(agent, 900000000 + i)));
	made.length = 0;
	process.stdout.write("ready\n");
	await go();
	await Promise.all(agents.map(async (agent, i) => {
		for (let n = 0; n < +requests; n++)
			await one(agent, +first + i * +requests + n);
	}));
	process.stdout.write(JSON.stringify(made) + "\n", () => process.exit());
}

async function postgres(port, count, first) {
	const { Client } = require("pg"), made = [];
	const c = new Client({ host: "127.0.0.1", port: +port, user: "postgres", database: "postgres",
			       ssl: { rejectUnauthorized: false } });
	await c.connect();
	const local = c.connection.stream.localPort ?? c.connection.stream._parent.localPort;
	process.stdout.write("ready\n");
	await go();
	for (let id = +first; id < +first + +count; id++) {
		const began = now();
		let status = "";
		await c.query(`SELECT 41 AS id_${id}, $1::int` + (id % 7 ? "" : " / 0"), [id]).catch(e => { status = e.code; });
		made.push([`id_${id}`, status, local, began, now()]);
	}
	process.stdout.write(JSON.stringify(made) + "\n", () => process.exit());
}

({ server, client, postgres })[process.argv[2]](...process.argv.slice(3));

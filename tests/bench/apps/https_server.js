// SPDX-License-Identifier: GPL-2.0-or-later
// A target of tools/bench: Node's HTTPS. https_server.js PORT CERTIFICATE KEY
"use strict";
const fs = require("fs"), https = require("https");

const [port, cert, key] = process.argv.slice(2);
const server = https.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) }, (request, response) => {
	response.setHeader("Content-Length", 7);
	response.end("static\n");
});
server.keepAliveTimeout = 600000;
server.listen(+port, "127.0.0.1");

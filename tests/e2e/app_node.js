// SPDX-License-Identifier: GPL-2.0-or-later
// A saturated Node.js service without packages: app_node.js PORT BACKEND-PORT [handles-usr1]
//
//    /none/ID   no call                    /gather/ID      three calls at once, by fetch
//    /seq/ID    three calls in a row       /timer/ID       a call by setTimeout()
//    /client/ID a call each way            /background/ID  answers, and calls later
//    /body/ID   three calls, the first by a callback of the request's own stream
//    /rest/ID   answers when nothing that /background left behind is under way
//    /state/ID  "as before" if the prototypes that weft's helper wraps are as they were at the start, else "changed";
//               and how often SIGUSR1 came
//
// Whatever is called is named after the request: /job/ROUTE-ID-N. Calls go over a pool of 10 connections, for which most wait, and
// by fetch. A call of nobody's, /job/nobody, is made every few ms. HTTPS, if TLS_CERTIFICATE and TLS_KEY name files.
'use strict';
const fs = require('fs'), http = require('http'), https = require('https'), net = require('net'), tls = require('tls');

const [port, backend, handles] = process.argv.slice(2);
const places = [[http.Server.prototype, 'emit'], [https.Server.prototype, 'emit'], [http.IncomingMessage.prototype, 'emit'],
	[net.Socket.prototype, 'write'], [net.Socket.prototype, '_writeGeneric'], [net.Socket.prototype, 'connect'], [tls, 'connect']];
const look = () => places.map(([object, name]) => [object[name], Object.hasOwn(object, name)]);
const before = look();
const same = () => look().every(([f, own], i) => f === before[i][0] && own === before[i][1]);
let signals = 0;
if (handles === 'handles-usr1')
	process.on('SIGUSR1', () => { signals++; });

const agent = new http.Agent({ keepAlive: true, maxSockets: 10 });
const call = name => new Promise((done, fail) => {
	http.get({ port: +backend, host: '127.0.0.1', path: `/job/${name}`, agent }, answer => answer.resume().on('end', done))
		.on('error', fail);
});
const byFetch = async name => (await fetch(`http://127.0.0.1:${backend}/job/${name}`)).text();
const left = new Set();
const leave = promise => { left.add(promise); promise.finally(() => left.delete(promise)); };
const sleep = ms => new Promise(done => setTimeout(done, ms));

const routes = {
	none: async () => {},
	seq: async name => { for (let i = 0; i < 3; i++) await call(`${name}-${i}`); },
	gather: name => Promise.all([0, 1, 2].map(i => byFetch(`${name}-${i}`))),
	timer: async name => { await sleep(2); await call(`${name}-0`); },
	client: async name => { await call(`${name}-0`); await byFetch(`${name}-1`); },
	body: (name, request) => new Promise((done, fail) => request.resume().on('end', () =>
		call(`${name}-0`).then(() => call(`${name}-1`)).then(() => byFetch(`${name}-2`)).then(done, fail))),
	background: async name => { leave(new Promise(done => setTimeout(() => done(call(`${name}-0`)), 5))); },
	rest: async () => { await Promise.all(left); },
};

setInterval(() => call('nobody'), 5);
const { TLS_CERTIFICATE, TLS_KEY } = process.env;
const files = TLS_KEY ? { cert: fs.readFileSync(TLS_CERTIFICATE), key: fs.readFileSync(TLS_KEY) } : {};
(TLS_KEY ? https : http).createServer(files, async (request, response) => {
	const [, route, id] = request.url.split('/');
	if (route === 'state')
		return response.end(`${same() ? 'as before' : 'changed'}, ${signals} signals\n`);
	await routes[route](`${route}-${id}`, request);
	response.end('ok\n');
}).listen(+port, '127.0.0.1');

// SPDX-License-Identifier: GPL-2.0-or-later
// A target of tools/accuracy: Node. node_app.js PORT [OPERATION,...]. Calls, if none are named: PostgreSQL (pg, a pool of 10), HTTP
// (fetch), Redis (ioredis, one connection, pipelined). Others: the same pool with callbacks, http.get with an agent of 10
// connections, the package redis.
'use strict';
const http = require('http');
const { Pool } = require('pg');
const Redis = require('ioredis');

const { BACKEND_PORT, POSTGRES_PORT, REDIS_PORT } = process.env;
const pool = new Pool({ host: '127.0.0.1', port: +POSTGRES_PORT, user: 'postgres', database: 'postgres', max: 10 });
const redis = new (Redis.Redis || Redis)(+REDIS_PORT, '127.0.0.1');
const agent = new http.Agent({ keepAlive: true, maxSockets: 10 });
let other;
const known = {
	pg: key => pool.query(`select '${key}', pg_sleep(random()*0.003)`),
	fetch: async key => (await fetch(`http://127.0.0.1:${BACKEND_PORT}/b/${key}`)).text(),
	ioredis: key => redis.get(key),
	callback: key => new Promise((done, fail) => pool.query(`select '${key}', pg_sleep(random()*0.003)`, e => (e ? fail(e) : done()))),
	agent: key => new Promise((done, fail) => http.get({ port: +BACKEND_PORT, path: `/b/${key}`, agent },
		response => response.resume().on('end', done)).on('error', fail)),
	redis: key => other.get(key),
};
const operations = (process.argv[3] || 'pg,fetch,ioredis').split(',').map(name => known[name]);
const call = (which, name, tag) => operations[which % operations.length](`${name}-${tag}`);
const sleep = ms => new Promise(done => setTimeout(done, ms));
const failed = e => { console.error(e); process.exit(1); };

const routes = {
	none: async () => {},
	sleep: () => sleep(5),
	one: (name, n) => call(n, name, 1),
	seq: async (name, n) => { for (let i = 0; i <= n % 4; i++) await call(i, name, i + 1); },
	par: (name, n) => Promise.all(Array.from({ length: 1 + n % 4 }, (_, i) => call(i, name, i + 1))),
	think: async (name, n) => { await sleep(3); await call(n, name, 1); await sleep(2); await call(n + 1, name, 2); },
	after: async (name, n) => { setTimeout(() => call(n, name, 'after').catch(failed), 5); },
};

async function start() {
	if (operations.includes(known.redis))
		other = await require('redis').createClient({ url: `redis://127.0.0.1:${REDIS_PORT}` }).connect();
	setInterval(() => call(++background, 'bg', background).catch(failed), 20);
	server.listen(+process.argv[2], '127.0.0.1');
}

let background = 0;
const server = http.createServer(async (request, response) => {
	const [, route, name] = request.url.split('/');
	await routes[route](name, +name.slice(2));
	response.end('ok\n');
});
start().catch(failed);

// SPDX-License-Identifier: GPL-2.0-or-later
// What `weft --node-helper` runs in a Node process, once, through its inspector: (this)("32 hex digits"). It follows, with an
// AsyncLocalStorage of its own, which request the code that runs belongs to, and puts that into 64 bytes of memory (the cell,
// struct node_cell in bpf/types.bpf.h) while a socket is written to. weft's kernel side reads them there at that write. Nothing
// is sent, printed or stored; nothing else of the program is changed. It goes, and puts everything back, when weft says so in
// the cell, or has not moved the cell's beat for 15 seconds.
//
// Where a context would be another request's than the one that is served, there shall be none:
//   - callbacks of sockets that the program opens run without one, for a pooled connection serves many requests;
//   - what waited in a socket's own queue has the owner that it had when it was queued; if several, none;
//   - drivers that keep callbacks in queues of their own, instead of promises, get these bound (table `drivers`).
(function weftNodeHelper(key) {
	'use strict';
	const load = process.getBuiltinModule ? process.getBuiltinModule.bind(process) : require;
	const closing = setTimeout(() => process._debugEnd(), 100);
	closing.unref();

	const NAME = Symbol.for('weft.node-helper');
	const BEAT = 4, STATE = 5, WRITING = 6, SERIAL = 7, FD = 8, POS = 9, STREAM = 10, FLAGS = 11;
	const AT_WORK = 1, REMOVED = 2;
	const BEAT_END = -1, TICK_MS = 500, TICKS_MAX = 30;
	const OWNER_TLS = 1;

	if (+process.versions.node.split('.')[0] < 20)
		return `Node ${process.versions.node} is too old, the helper needs 20 or later`;
	if (process[NAME]) {
		if (process[NAME].beats())
			return 'another weft has a helper in it';
		process[NAME].remove();
	}

	const { AsyncLocalStorage } = load('async_hooks');
	const channels = load('diagnostics_channel');
	const fs = load('fs'), net = load('net'), tls = load('tls'), http = load('http'), https = load('https');
	const Module = load('module');
	const bytes = new ArrayBuffer(64), cell = new Int32Array(bytes);
	const current = new AsyncLocalStorage();
	let working = true;

	// ---- putting in, and putting back ----

	const patches = [];
	function patch(object, name, make) {
		const before = Object.getOwnPropertyDescriptor(object, name), original = object[name];
		if (typeof original !== 'function' || (before && !before.configurable))
			return;
		const value = make(original);
		Object.defineProperty(value, 'name', { value: original.name, configurable: true });
		Object.defineProperty(value, 'length', { value: original.length, configurable: true });
		Object.defineProperty(object, name, { value, writable: true, configurable: true,
			enumerable: before ? before.enumerable : false });
		patches.push({ object, name, before, value });
	}

	// What somebody else has wrapped meanwhile stays, and does nothing any more.
	function putBack({ object, name, before, value }) {
		const now = Object.getOwnPropertyDescriptor(object, name);
		if (!now || now.value !== value)
			return;
		if (before)
			Object.defineProperty(object, name, before);
		else
			delete object[name];
	}

	// Also to nobody: else it would run in the context of whoever comes to it.
	function bound(callback) {
		const owner = current.getStore();
		return function (...args) {
			return working ? current.run(owner, () => Reflect.apply(callback, this, args)) : Reflect.apply(callback, this, args);
		};
	}
	const withoutOwner = original => function (...args) {
		return working && current.getStore() ? current.run(undefined, () => Reflect.apply(original, this, args))
			: Reflect.apply(original, this, args);
	};

	// ---- requests ----

	let serial = 0;
	function ownerOf(socket, pos, stream) {
		const handle = socket && socket._handle;
		if (!handle || !(handle.fd >= 0))
			return undefined;
		serial = serial % 0x7fffffff + 1;
		return { serial, socket, handle, fd: handle.fd, pos: pos % 2 ** 32 | 0, stream,
			flags: socket.encrypted ? OWNER_TLS : 0 };
	}

	const owners = new WeakMap(); // by request: its body is read in its context
	const heads = new Set(['request', 'checkContinue', 'checkExpectation', 'upgrade', 'connect']);
	function ownerOfEvent(type, subject) {
		if (heads.has(type) && subject instanceof http.IncomingMessage) {
			const owner = ownerOf(subject.socket, subject.socket ? subject.socket.bytesRead : 0, 0);
			if (owner)
				owners.set(subject, owner);
			return owner;
		}
		if (type === 'stream' && subject && subject.session && subject.id > 0) {
			try {
				return ownerOf(subject.session.socket, 0, subject.id);
			} catch {
				return undefined; // the session is closed
			}
		}
		return undefined;
	}
	const serverEmit = original => function (...args) {
		const owner = working ? ownerOfEvent(args[0], args[1]) : undefined;
		return owner ? current.run(owner, () => Reflect.apply(original, this, args)) : Reflect.apply(original, this, args);
	};
	const messageEmit = original => function (...args) {
		const owner = working ? owners.get(this) : undefined;
		return owner && current.getStore() !== owner ? current.run(owner, () => Reflect.apply(original, this, args))
			: Reflect.apply(original, this, args);
	};

	patch(http.Server.prototype, 'emit', serverEmit);
	patch(https.Server.prototype, 'emit', serverEmit);
	patch(http.IncomingMessage.prototype, 'emit', messageEmit);
	try {
		const http2 = load('http2'); // not where Node was built without TLS
		patch(Object.getPrototypeOf(http2.createServer()), 'emit', serverEmit);
		patch(Object.getPrototypeOf(http2.createSecureServer()), 'emit', serverEmit);
	} catch {
		// then there are no requests of HTTP/2 either
	}

	// ---- writes ----

	const lines = new WeakMap();    // socket: whose it is now (undici)
	const waiting = new WeakMap();  // socket: owners of what is in its queue, in order
	const deferred = new WeakMap(); // socket: owner of what is written when it has connected
	const ownerNow = socket => (lines.has(socket) ? lines.get(socket) : current.getStore());

	function takeWaiting(socket, n) {
		const queue = waiting.get(socket) || [], taken = queue.splice(0, n);
		return taken.length === n && taken.every(owner => owner === taken[0]) ? taken[0] : undefined;
	}

	patch(net.Socket.prototype, 'write', original => function write(chunk, encoding, cb) {
		const state = this._writableState;
		if (working && state && (state.writing || state.corked)) {
			const queue = waiting.get(this);
			if (queue)
				queue.push(ownerNow(this));
			else
				waiting.set(this, [ownerNow(this)]);
		}
		return Reflect.apply(original, this, arguments);
	});

	patch(net.Socket.prototype, '_writeGeneric', original => function _writeGeneric(writev, data, encoding, cb) {
		if (!working)
			return original.call(this, writev, data, encoding, cb);
		let owner;
		if (!this.connecting && deferred.has(this)) {
			owner = deferred.get(this);
			deferred.delete(this);
		} else if (this._writableState.bufferProcessing) {
			owner = takeWaiting(this, writev ? data.length : 1);
		} else {
			owner = ownerNow(this);
		}
		if (this.connecting) {
			deferred.set(this, owner);
			return original.call(this, writev, data, encoding, cb);
		}
		if (owner) {
			cell[SERIAL] = owner.serial;
			cell[FD] = owner.socket._handle === owner.handle ? owner.fd : -1;
			cell[POS] = owner.pos;
			cell[STREAM] = owner.stream;
			cell[FLAGS] = owner.flags;
			cell[WRITING] = 1;
		}
		try {
			return original.call(this, writev, data, encoding, cb);
		} finally {
			cell[WRITING] = 0;
		}
	});

	patch(net.Socket.prototype, 'connect', withoutOwner);
	patch(tls, 'connect', withoutOwner);

	// undici and fetch: a connection's next user may be begun where its last one ended.
	const requests = new WeakMap();
	const subscriptions = {
		'undici:request:create': ({ request }) => { requests.set(request, current.getStore()); },
		'undici:client:sendHeaders': ({ request, socket }) => { lines.set(socket, requests.get(request)); },
	};
	for (const [name, listener] of Object.entries(subscriptions))
		channels.subscribe(name, listener);

	// ---- drivers with queues of callbacks ----

	const lastBound = original => function (...args) {
		if (working && typeof args[args.length - 1] === 'function')
			args[args.length - 1] = bound(args[args.length - 1]);
		return Reflect.apply(original, this, args);
	};
	const queueOf = client => ('_queryQueue' in client ? client._queryQueue : client.queryQueue);
	const drivers = [
		{ file: /[\\/]pg-pool[\\/]index\.js$/, on: 'connect', wrap: lastBound },
		{ file: /[\\/]pg[\\/]lib[\\/]client\.js$/, on: 'query', wrap: original => {
			const query = lastBound(original);
			return function (...args) {
				const queue = working ? queueOf(this) : undefined, n = queue ? queue.length : 0;
				const result = Reflect.apply(query, this, args);
				if (queue && queue.length > n)
					queue[queue.length - 1].submit = bound(queue[queue.length - 1].submit);
				return result;
			};
		} },
		{ file: /[\\/](mysql2[\\/]lib[\\/](base[\\/])?pool|mysql[\\/]lib[\\/]Pool)\.js$/, on: 'getConnection', wrap: lastBound },
		{ file: /[\\/]mysql2[\\/]lib[\\/](base[\\/])?connection\.js$/, on: 'addCommand', wrap: original => function (command) {
			if (working && command && typeof command.execute === 'function')
				command.execute = bound(command.execute);
			return Reflect.apply(original, this, arguments);
		} },
		// its automatic pipelines hold commands of several requests
		{ file: /[\\/]ioredis[\\/]built[\\/](P|p)ipeline\.js$/, on: 'exec', wrap: original => function (...args) {
			const redis = this.redis, automatic = redis && redis._runningAutoPipelines && redis._runningAutoPipelines.size;
			return automatic && working ? current.run(undefined, () => Reflect.apply(original, this, args))
				: Reflect.apply(original, this, args);
		} },
	];
	// redis (node-redis) writes all commands of a turn at once, in the context of the first: an owner only if all have one.
	const batches = new WeakMap(); // its queue: owners of the commands in it
	const batchOwner = new WeakMap(); // what it gives to be written
	const redisDrivers = [
		{ file: /[\\/]@redis[\\/]client[\\/]dist[\\/]lib[\\/]client[\\/]commands-queue\.js$/, on: 'addCommand', wrap: original => function (...args) {
			if (working)
				batches.set(this, (batches.get(this) || []).concat([current.getStore()]));
			return Reflect.apply(original, this, args);
		} },
		{ file: /[\\/]@redis[\\/]client[\\/]dist[\\/]lib[\\/]client[\\/]commands-queue\.js$/, on: 'commandsToWrite', wrap: original => function () {
			const commands = Reflect.apply(original, this, arguments), owners = batches.get(this) || [undefined];
			if (!working || typeof commands[Symbol.iterator] !== 'function')
				return commands;
			// what is left behind by whoever stops in between
			batches.set(this, [undefined]);
			const queue = this, watched = (function* () {
				yield* commands;
				batches.set(queue, []);
			})();
			batchOwner.set(watched, owners.every(owner => owner === owners[0]) ? owners[0] : undefined);
			return watched;
		} },
		{ file: /[\\/]@redis[\\/]client[\\/]dist[\\/]lib[\\/]client[\\/]socket\.js$/, on: 'write', wrap: original => function (commands) {
			return working ? current.run(batchOwner.get(commands), () => Reflect.apply(original, this, arguments))
				: Reflect.apply(original, this, arguments);
		} },
	];
	drivers.push(...redisDrivers);

	const looked = new Set();
	function lookForDrivers() {
		const cache = Module._cache || {}, files = Object.keys(cache);
		if (files.length === looked.size)
			return;
		for (const file of files) {
			const module = cache[file];
			if (looked.has(file) || !module || !module.loaded)
				continue;
			looked.add(file);
			for (const driver of drivers.filter(d => d.file.test(file))) {
				const made = module.exports && (module.exports.default || module.exports);
				if (typeof made === 'function' && made.prototype)
					patch(made.prototype, driver.on, driver.wrap);
			}
		}
	}
	lookForDrivers();

	// ---- the end ----

	let beat = 0, ticks = 0, timer;
	function remove() {
		if (!working)
			return;
		working = false;
		clearInterval(timer);
		patches.reverse().forEach(putBack);
		for (const [name, listener] of Object.entries(subscriptions))
			channels.unsubscribe(name, listener);
		current.disable();
		delete process[NAME];
		cell[WRITING] = 0;
		cell[STATE] = REMOVED;
	}
	function tick() {
		if (cell[BEAT] === beat) {
			ticks++;
		} else {
			beat = cell[BEAT];
			ticks = 0;
		}
		if (beat === BEAT_END || ticks > TICKS_MAX)
			remove();
		else
			lookForDrivers();
	}
	timer = current.run(undefined, () => setInterval(tick, TICK_MS));
	timer.unref();
	Object.defineProperty(process, NAME, { value: { remove, beats: () => ticks < 6 }, configurable: true, enumerable: false });

	// Where the cell is: weft's kernel side sees this system call, which fails, and its argument.
	new Uint8Array(bytes).set(key.match(/../g).map(hex => parseInt(hex, 16)));
	cell[STATE] = AT_WORK;
	try {
		fs.writeSync(0x7fffffff, new Uint8Array(bytes), 0, 64);
	} catch {
		// no such descriptor
	}
	return 'at work';
})

// SPDX-License-Identifier: GPL-2.0-or-later
// A target of tools/bench: Express, pg and ioredis. A request makes one call of each. express_app.js PORT
"use strict";
const express = require("express"), { Pool } = require("pg"), Redis = require("ioredis");

const pool = new Pool({ host: "127.0.0.1", port: +process.env.POSTGRES_PORT, user: "postgres", database: "postgres", max: 10 });
const redis = new (Redis.Redis || Redis)(+process.env.REDIS_PORT, "127.0.0.1");
const app = express();

app.get("/item/:id", async (request, response) => {
	const { id } = request.params;
	const [note, { rows }] = [await redis.get(`item:${id}`), await pool.query("SELECT price FROM items WHERE id = $1", [id])];
	response.json({ id, note, price: rows[0].price });
});
app.listen(+process.argv[2], "127.0.0.1");

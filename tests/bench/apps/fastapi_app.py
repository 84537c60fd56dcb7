# SPDX-License-Identifier: GPL-2.0-or-later
"""A target of tools/bench: FastAPI and Redis. A request makes one call. fastapi_app.py PORT
BENCH_EXCLUDE: instrumented by itself, without these spans of OpenTelemetry's (no variable of its own says so)."""
import os
import sys

import fastapi
import redis.asyncio
import uvicorn

CACHE = redis.asyncio.Redis(port=int(os.environ["REDIS_PORT"]))
app = fastapi.FastAPI()
if "BENCH_EXCLUDE" in os.environ:
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    FastAPIInstrumentor.instrument_app(app, exclude_spans=os.environ["BENCH_EXCLUDE"].split(","))


@app.get("/item/{item}")
async def get_item(item: int):
    return {"item": item, "note": await CACHE.get(f"item:{item}")}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), loop="asyncio", http="h11", log_level="warning",
                access_log=False)

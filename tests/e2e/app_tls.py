# SPDX-License-Identifier: GPL-2.0-or-later
"""The same answers and log as tls_server.py's, as an ASGI application: its server (uvicorn) encrypts in memory. TLS_LOG names the log."""
import json
import os
import urllib.parse

LOG = open(os.environ["TLS_LOG"], "ab", buffering=0)


async def app(scope, receive, send):
    assert scope["type"] == "http"
    while (await receive()).get("more_body"):
        pass
    query = scope["query_string"].decode()
    path = scope["path"] + ("?" + query if query else "")
    status, size = int(scope["path"].split("/")[2]), int(urllib.parse.parse_qs(query).get("size", ["5"])[0])
    LOG.write((json.dumps([scope["method"], path, status, scope["client"][1]]) + "\n").encode())
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", str(size).encode())]})
    await send({"type": "http.response.body", "body": b"x" * size})

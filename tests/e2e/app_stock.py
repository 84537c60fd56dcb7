# SPDX-License-Identifier: GPL-2.0-or-later
"""The second service: answers /stock?id=N with N."""
from urllib.parse import parse_qs


def app(environ, start_response):
    body = parse_qs(environ["QUERY_STRING"]).get("id", ["?"])[0].encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

# SPDX-License-Identifier: GPL-2.0-or-later
"""A blocking HTTPS server, a thread a connection: tls_server.py PORT CERTIFICATE KEY LOG [TLS-VERSION].

/w/CODE/ID answers with status CODE; ?size=N with a body of N bytes. Each answer is a line of JSON in LOG: method, path, status, and
the client's port.
"""
import http.server
import json
import ssl
import sys
import urllib.parse

PORT, CERTIFICATE, KEY, LOG = sys.argv[1:5]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = urllib.parse.urlsplit(self.path)
        status = int(parts.path.split("/")[2])
        size = int(urllib.parse.parse_qs(parts.query).get("size", ["5"])[0])
        line = json.dumps([self.command, self.path, status, self.client_address[1]]) + "\n"
        self.server.log.write(line.encode())
        self.send_response(status)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(b"x" * size)

    do_POST = do_GET

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 200

    def handle_error(self, *_):
        pass  # a client that goes in the middle of a handshake is none of ours


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE, KEY)
if len(sys.argv) > 5:
    context.maximum_version = ssl.TLSVersion[sys.argv[5]]
with Server(("127.0.0.1", int(PORT)), Handler) as server, open(LOG, "ab", buffering=0) as server.log:
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()

# SPDX-License-Identifier: GPL-2.0-or-later
"""The servers of tools/bench: those of tests/e2e/stack.py, and nginx and Node with TLS, memcached, and a second nginx that nobody
traces. Each starts with the first load that asks for it."""
import os

import cost
import stack

HERE = os.path.dirname(os.path.abspath(__file__))
NGINX = """
daemon off; worker_processes 2; pid {0}.pid; error_log {0}.log; {1}
events {{ worker_connections 1024; }}
http {{
	access_log off; keepalive_requests 1000000; keepalive_timeout 600s;
	client_body_temp_path {0}-t; proxy_temp_path {0}-t; fastcgi_temp_path {0}-t; uwsgi_temp_path {0}-t; scgi_temp_path {0}-t;
	ssl_certificate {2}; ssl_certificate_key {3};
	server {{
		listen 127.0.0.1:{4} ssl backlog=1024;
		{5}
		location = /static {{ return 200 "static\\n"; }}
	}}
}}
"""


class Servers(stack.Stack):
    def __init__(self, services, log):
        super().__init__(services, log=log)
        self.filled = False  # pgbench's tables are there

    def spawn(self, name, *args, **more):
        if name == "postgres":
            with open(self.path("pg", "postgresql.conf"), "a", encoding="utf-8") as f:
                f.write("log_statement = 'none'\n")  # the last word counts
        super().spawn(name, *args, **more)

    def certificate(self):
        certificate, key = self.path("cert.pem"), self.path("key.pem")
        if not os.path.exists(certificate):
            cost.output_of([stack.which("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                            "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate])
        return certificate, key

    def port(self, name):
        return self.ports.setdefault(name, stack.free_port())

    def start_nginx_tls(self, name="nginx_tls", more=""):
        conf, user = self.path(name + ".conf"), "user root;" if os.getuid() == 0 else ""
        with open(conf, "w", encoding="utf-8") as f:
            f.write(NGINX.format(self.path(name), user, *self.certificate(), self.port(name), more))
        self.spawn(name, [stack.which("nginx"), "-p", self.folder, "-c", conf], self.ports[name])

    def start_second(self):
        self.start_nginx_tls("second", f"listen 127.0.0.1:{self.port('second_plain')} backlog=1024;")

    def start_node_https(self):
        self.spawn("node_https", [stack.which("node"), os.path.join(HERE, "apps", "https_server.js"), str(self.port("node_https")),
                                  *self.certificate()], self.ports["node_https"])

    def start_memcached(self):
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        self.spawn("memcached", [stack.which("memcached"), "-l", "127.0.0.1", "-U", "0", "-t", "1", *user, "-p",
                                 str(self.port("memcached"))], self.ports["memcached"])

# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers behind TLS and the clients that ask them, for the cases of cases_tls.py: nginx, Python (blocking, and uvicorn), Node,
PostgreSQL, Redis. Each server of HTTP keeps a log of [method, path, status, client's port], which is the truth."""
import contextlib
import json
import os
import pwd
import shutil
import subprocess

import stack
from stack import HERE, PYTHON

HOST = "weft.test"  # a name for who wants to send one


def has(*argv):
    """Does this command succeed?"""
    return not shutil.which(argv[0]) is None and subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def make_certificate(certificate, key):
    """Into these files."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST},IP:127.0.0.1", "-keyout", key,
                    "-out", certificate], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


class TlsStack(stack.Stack):
    """services: nginx_tls, apache_tls, python_tls, uvicorn_tls, node_tls, postgres, redis. .ports and .pids by the same names."""

    def __init__(self, *services, tls_version=None, proxy_to=None):
        super().__init__(services)
        self.tls_version, self.proxy_to = tls_version, proxy_to

    def spawn(self, name, *args, **more):
        if name == "postgres":
            self.postgres_with_tls()
        super().spawn(name, *args, **more)

    def certificate(self, owner=None):
        """Certificate and key, made at the first use; owner: a user's own copy of the key."""
        certificate, key = self.path("cert.pem"), self.path("key.pem")
        if not os.path.exists(certificate):
            make_certificate(certificate, key)
        if owner and os.getuid() == 0:
            own = self.path(f"key-{owner}.pem")
            shutil.copy(key, own)
            os.chown(own, pwd.getpwnam(owner).pw_uid, pwd.getpwnam(owner).pw_gid)
            os.chmod(own, 0o600)
            return certificate, own
        return certificate, key

    def served(self, name):
        """What the server says it answered: [(method, path, status, client's port)]."""
        path = self.path(name + ".served")
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as f:
            # (Apache can only write the whole request line as it came.)
            return [(method, path.split(" ")[1] if " " in path else path, status, port)
                    for method, path, status, port in map(json.loads, f)]

    def wait_served(self, service, count):
        """Until the service says that it has answered so many: it does so a moment after who asked has its answer."""
        stack.wait_until(f"the log of {service}", lambda: len(self.served(service)) >= count, 60)

    def start_python_tls(self):
        port = self.ports["python_tls"] = stack.free_port()
        self.spawn("python_tls", [PYTHON, os.path.join(HERE, "tls_server.py"), str(port), *self.certificate(),
                                  self.path("python_tls.served"), *([self.tls_version] if self.tls_version else [])], port)

    def start_uvicorn_tls(self):
        port = self.ports["uvicorn_tls"] = stack.free_port()
        certificate, key = self.certificate()
        self.spawn("uvicorn_tls", [PYTHON, "-m", "uvicorn", "--app-dir", HERE, "--port", str(port), "--ssl-certfile", certificate,
                                   "--ssl-keyfile", key, "--no-access-log", "--timeout-keep-alive", "600", "app_tls:app"], port,
                   env={"TLS_LOG": self.path("uvicorn_tls.served"), "PYTHONDONTWRITEBYTECODE": "1"})

    def start_node_tls(self):
        port = self.ports["node_tls"] = stack.free_port()
        self.spawn("node_tls", [stack.which("node"), os.path.join(HERE, "tls_peer.js"), "server", str(port), *self.certificate(),
                                self.path("node_tls.served")], port)

    def start_apache_tls(self):
        port, folder, modules = stack.free_port(), self.folder, "/usr/lib/apache2/modules"
        self.ports["apache_tls"] = port
        certificate, key = self.certificate()
        os.mkdir(self.path("docs"))
        for name in ("empty", "300", "40000"):
            with open(self.path("docs", name), "w", encoding="ascii") as f:
                f.write("hello" if name == "empty" else "x" * int(name))
        load = "".join(f"LoadModule {m}_module {modules}/mod_{m}.so\n" for m in (
            "mpm_event", "authz_core", "ssl", "http2", "rewrite"))
        with open(self.path("apache.conf"), "w", encoding="utf-8") as f:
            f.write(f"""
{load}
ServerName {HOST}
ServerRoot {folder}
PidFile {folder}/apache.pid
ErrorLog {folder}/apache-error.log
{'User www-data' if os.getuid() == 0 else ''}
Listen 127.0.0.1:{port}
Protocols h2 http/1.1
DocumentRoot {folder}/docs
KeepAlive On
KeepAliveTimeout 600
MaxKeepAliveRequests 0
# A thread for each connection, so that none is ever ended to make room.
ServerLimit 1
StartServers 1
ThreadLimit 200
ThreadsPerChild 200
MaxRequestWorkers 200
MinSpareThreads 1
MaxSpareThreads 200
SSLEngine on
SSLCertificateFile {certificate}
SSLCertificateKeyFile {key}
LogFormat "[\\"%m\\", \\"%r\\", %>s, %{{remote}}p]" truth
CustomLog {folder}/apache_tls.served truth
RewriteEngine on
RewriteRule ^/w/404/ - [R=404,L]
RewriteCond %{{REQUEST_METHOD}} =POST
RewriteRule ^/w/200/ - [R=200,L]
RewriteCond %{{QUERY_STRING}} ^size=(\\d+)$
RewriteRule ^/w/200/ /%1 [L]
RewriteRule ^/w/200/ /empty [L]
""")
        self.spawn("apache_tls", [stack.which("apache2"), "-DFOREGROUND", "-f", self.path("apache.conf")], port)

    def start_nginx_tls(self):
        port, folder = stack.free_port(), self.folder
        self.ports["nginx_tls"] = port
        certificate, key = self.certificate()
        temp = "".join(f"{what}_temp_path {folder}/nginx-{what};\n" for what in (
            "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        os.mkdir(self.path("www"))
        for size in (300, 40000, 5000000):
            with open(self.path("www", str(size)), "w", encoding="ascii") as f:
                f.write("x" * size)
        proxy = ""
        if self.proxy_to:
            proxy = f"""location / {{ proxy_pass https://127.0.0.1:{self.ports[self.proxy_to]}; proxy_http_version 1.1;
				proxy_set_header Connection ""; proxy_set_header Host $http_host; }}"""
        # A request without a size, and any POST, is answered from the configuration; the others from files.
        answers = f"""location ~ ^/w/404/ {{ return 404 "no"; }}
		location ~ ^/w/200/ {{
			root {folder}/www;
			if ($request_method = POST) {{ return 200 "hello"; }}
			if ($arg_size = "") {{ return 200 "hello"; }}
			rewrite ^ /$arg_size break;
		}}"""
        with open(self.path("nginx.conf"), "w", encoding="utf-8") as f:
            f.write(f"""
daemon off;
{'user root;' if os.getuid() == 0 else ''}
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
	log_format truth escape=json '["$request_method", "$request_uri", $status, $remote_port]';
	access_log {folder}/nginx_tls.served truth;
	{temp}
	keepalive_requests 100000;
	keepalive_timeout 600s;
	server {{
		listen 127.0.0.1:{port} ssl http2 backlog=1024;
		ssl_certificate {certificate};
		ssl_certificate_key {key};
		ssl_protocols {self.tls_version or 'TLSv1.2 TLSv1.3'};
		{proxy or answers}
	}}
}}
""")
        self.spawn("nginx_tls", [stack.which("nginx"), "-p", folder, "-c", self.path("nginx.conf")], port)

    def postgres_with_tls(self):
        certificate, key = self.certificate("postgres")
        with open(self.path("pg", "postgresql.conf"), "a", encoding="utf-8") as f:
            f.write(f"ssl = on\nssl_cert_file = '{certificate}'\nssl_key_file = '{key}'\n")

    def start_redis(self):
        certificate, key = self.certificate()
        port = self.ports["redis"]
        self.spawn("redis", [stack.which("redis-server"), "--port", "0", "--tls-port", str(port), "--tls-cert-file", certificate,
                             "--tls-key-file", key, "--tls-auth-clients", "no", "--bind", "127.0.0.1", "--save", "",
                             "--appendonly", "no", "--dir", self.folder], port)


class Peer:
    """A client that says "ready", waits to be told, and prints what it did as JSON. late: not even the program runs before a
    line has come."""

    def __init__(self, *argv, env=None, late=False):
        argv = [str(a) for a in argv]
        if late:
            argv = ["sh", "-c", 'read go; exec "$@"', "sh", *argv]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()

    @property
    def pid(self):
        return self.process.pid

    def wait_ready(self):
        line = self.process.stdout.readline()
        if line.strip() != "ready":
            raise stack.StackError(f"{self.process.args}: said {line!r}")

    def go(self, text="go\n"):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def end(self, text="go\n", seconds=180):
        """The last word to it; what it prints."""
        out, _ = self.process.communicate(text, timeout=seconds * stack.SLOW)
        if self.process.returncode:
            raise stack.StackError(f"{self.process.args}: exit status {self.process.returncode}")
        return out

    def finish(self, text="", seconds=180):
        """What it did: the last line that it prints."""
        return [tuple(x) for x in json.loads(self.end(text, seconds).splitlines()[-1])]


def holder(*libraries):
    """A process that has these libraries mapped, and waits."""
    return Peer(PYTHON, "-c", "import ctypes, sys; [ctypes.CDLL(l) for l in sys.argv[1:]]; print('ready', flush=True); input()", *libraries)


def python_client(kind, port, connections, requests, first=1000, late=False):
    return Peer(PYTHON, os.path.join(HERE, "tls_client.py"), kind, port, connections, requests, first, late=late)


def node_client(*argv, late=False):
    return Peer(stack.which("node"), os.path.join(HERE, "tls_peer.js"), *argv, late=late)


def db_client(kind, port, connections, requests, late=False):
    return Peer(PYTHON, os.path.join(HERE, "db_client.py"), kind, port, connections, requests, late=late)

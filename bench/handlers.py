"""What is measured of handlers: how PHP is started for the gateway and for the floors.

`php` is processes of the gateway's own, against a bare pipe to one; `fpm` is php-fpm, against a bare FastCGI client on the
same pool. PHP has a core for itself.
"""

import glob
import os
import shutil
import socket
import subprocess
import time

SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "php")
START_TIMEOUT_S = 10
# Processes of the pool, and connections to it.
CHILDREN = 4
POOL = """
[global]
error_log = {scratch}/fpm.log
daemonize = no

[bench]
listen = {scratch}/fpm.sock
pm = static
pm.max_children = {children}
php_admin_value[display_errors] = off
"""
# What php-fpm wants to be told where it is started by root.
AS_ROOT = "user = root\ngroup = root\n"
# How the gateway is told of each, by what it is started for.
FLAGS = {
    "php": lambda scratch: ["--php", script("worker.php"), "--php-binary", php(scratch)],
    "fpm": lambda scratch: [
        "--fpm", script("fpm.php"), "--fpm-address", f"unix://{scratch}/fpm.sock", "--fpm-connections", str(CHILDREN),
    ],  # fmt: skip
}
# The floors, by their names in `cells`.
FLOORS = ("pipe", "fastcgi")


class Missing(Exception):
    """A server that cannot be built or started here: why."""


def script(name):
    return os.path.join(SCRIPTS, name)


def php(scratch):
    """A program that is PHP on the core that `Ready` said."""
    return os.path.join(scratch, "php")


class Floor:
    """A program that measures itself, and says it as `rupor bench` does."""

    def __init__(self, program, kind):
        self.program = program
        self.kind = kind

    def command(self, cell, scratch, core, warmup, seconds):
        told = dict(zip(cell.arguments[::2], cell.arguments[1::2]))
        payload = told["--payload"]
        what = [self.kind, round(warmup * 1000), round(seconds * 1000)]
        if self.kind == "pipe":
            what += [cell.connections * told["--in-flight"], payload, php(scratch), script("bare.php")]
        else:
            what += [CHILDREN, payload, f"{scratch}/fpm.sock", script("fpm.php")]
        return ["taskset", "-c", core, self.program, *what]


class Ready:
    """Whatever of PHP has to be there before the gateway or the floor is, on its core; nothing for other loads."""

    def __init__(self, load, scratch, core):
        self.has_php = load in FLAGS
        self.process = None
        if load == "php":
            with open(php(scratch), "w", encoding="utf-8") as file:
                file.write(f'#!/bin/sh\nexec taskset -c {core} php "$@"\n')
            os.chmod(php(scratch), 0o700)
        if load == "fpm":
            self.start_fpm(scratch, core)

    def start_fpm(self, scratch, core):
        program = next(iter(sorted(glob.glob("/usr/sbin/php-fpm*"))), None) or shutil.which("php-fpm")
        if not program:
            raise Missing("php-fpm is missing")
        path, pool = os.path.join(scratch, "fpm.conf"), os.path.join(scratch, "fpm.sock")
        with open(path, "w", encoding="utf-8") as file:
            file.write(POOL.format(scratch=scratch, children=CHILDREN) + (AS_ROOT if os.getuid() == 0 else ""))
        command = ["taskset", "-c", str(core), program, "-F", "-R", "-y", path]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.connect(pool)
                    return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    self.__exit__()
                    raise Missing("php-fpm does not start") from None
                time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            # It ends its processes.
            self.process.terminate()
            self.process.wait()

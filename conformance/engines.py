"""The programs that run the Autobahn cases, each as a client that tests a server and as a server that
tests a client. Both write the same report: a folder with index.json and a file for each case.

kosoku is the cases under a driver of its own; scripts/deps installs it. wstest is the original
suite: it needs a Python 2.7 and is installed on first use, into a folder of its own.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
START_TIMEOUT_S = 60
RUN_TIMEOUT_S = 3600
END_TIMEOUT_S = 60


class Failed(Exception):
    """The run itself did not work; the text says why."""


class Kosoku:
    name = "kosoku"

    def __init__(self):
        self.program = os.environ.get("KOSOKU") or f"{ROOT}/e2e/.venv/bin/kosoku"

    def missing(self):
        """Why it cannot run here, or None."""
        return None if shutil.which(self.program) else f"{self.program} is not there (make deps installs it)"

    def test_server(self, url, cases, jobs, reports):
        """Runs the cases against the server at this URL; what the program said."""
        return finish([self.program, "-p", str(jobs), *self.options(cases, reports), url])

    @contextlib.contextmanager
    def serve(self, cases, reports):
        """Serves the cases to a client at the HOST:PORT that is yielded; then the reports are there."""
        command = [self.program, "-m", "fuzzingserver", *self.options(cases, reports), "127.0.0.1:0"]
        with Running(command) as running:
            yield running.address(r"\b(127\.0\.0\.1:\d+)")
            # It writes them when it ends, which the client asked for.
            running.wait()

    @staticmethod
    def options(cases, reports):
        options = ["-o", reports]
        for case in cases:
            options += ["-i", case]
        return options


class Wstest:
    name = "wstest"
    folder = f"{ROOT}/.cache/wstest"
    requirements = ("virtualenv==20.15.1", "autobahntestsuite==25.10.1")

    def __init__(self):
        home = os.path.expanduser("~/.pyenv/versions")
        found = sorted(entry for entry in listed(home) if entry.startswith("2.7."))
        candidates = [os.environ.get("PYTHON2"), "python2.7", *(f"{home}/{entry}/bin/python2.7" for entry in found)]
        self.python = next((name for name in candidates if name and is_python2(name)), None)

    def missing(self):
        return None if self.python else "it needs a Python 2.7, and there is none on the path or under pyenv (name one with PYTHON2)"

    def test_server(self, url, cases, jobs, reports):
        return self.run("fuzzingclient", {"servers": [{"agent": "rupor", "url": url}]}, cases, reports, finish)

    @contextlib.contextmanager
    def serve(self, cases, reports):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = "127.0.0.1:%d" % probe.getsockname()[1]
        with self.run("fuzzingserver", {"url": f"ws://{address}"}, cases, reports, Running) as running:
            running.answers(address)
            # It has written the reports when the client's request for them is answered.
            yield address

    def run(self, mode, spec, cases, reports, runner):
        self.install()
        os.makedirs(reports, exist_ok=True)
        path = os.path.join(reports, "spec.json")
        spec |= {"outdir": reports, "cases": list(cases), "exclude-cases": [], "exclude-agent-cases": {}}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(spec, file)
        # Its pages would need a port of their own.
        return runner([f"{self.folder}/bin/wstest", "-m", mode, "-s", path, "-u", "0"])

    def install(self):
        if os.path.exists(f"{self.folder}/.complete"):
            return
        print(f"wstest: installing {self.requirements[1]} into {os.path.relpath(self.folder)}", flush=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="rupor-virtualenv-") as tool:
            quiet = ["install", "-q", "--disable-pip-version-check"]
            finish([self.python, "-m", "pip", *quiet, "--target", tool, self.requirements[0]], check=True)
            finish([self.python, "-m", "virtualenv", "-q", self.folder], check=True, PYTHONPATH=tool)
        finish([f"{self.folder}/bin/pip", *quiet, self.requirements[1]], check=True)
        with open(f"{self.folder}/.complete", "w", encoding="utf-8"):
            pass


ENGINES = {engine.name: engine for engine in (Kosoku, Wstest)}


class Running:
    """A program that runs until the end of a `with`, and what it has printed."""

    def __init__(self, command):
        # A developer's variables would be options to rupor.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RUPOR_")}
        environment["PYTHONUNBUFFERED"] = "1"
        self.lines = []
        self.grown = threading.Condition()
        self.ended = False
        try:
            self.process = subprocess.Popen(
                command, env=environment, text=True, errors="replace",
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
        except OSError as error:
            raise Failed(f"cannot start {command[0]}: {error}") from None
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            with self.grown:
                self.lines.append(line)
                self.grown.notify_all()
        with self.grown:
            self.ended = True
            self.grown.notify_all()

    def address(self, pattern):
        """The pattern's group in the first line that has it."""
        def found():
            return next((match.group(1) for line in self.lines if (match := re.search(pattern, line))), None)

        with self.grown:
            self.grown.wait_for(lambda: found() or self.ended, START_TIMEOUT_S)
            if address := found():
                return address
        raise Failed("it did not say that it listens:\n" + "".join(self.lines))

    def answers(self, address):
        """Waits until somebody listens there; it does not say so itself."""
        host, port = address.split(":")
        end = time.monotonic() + START_TIMEOUT_S
        while not self.ended and time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection((host, int(port))):
                return
            time.sleep(0.05)
        raise Failed("nobody listens:\n" + "".join(self.lines))

    def wait(self):
        try:
            self.process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise Failed("it did not end:\n" + "".join(self.lines)) from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def finish(command, check=False, **environment):
    """Runs a command to its end and returns what it said. Its status counts only where `check` says so."""
    try:
        run = subprocess.run(
            command, env=os.environ | environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=RUN_TIMEOUT_S,
        )
    except OSError as error:
        raise Failed(f"cannot run {command[0]}: {error}") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"{command[0]} took longer than {RUN_TIMEOUT_S} s") from None
    if check and run.returncode != 0:
        raise Failed(f"{command[0]} failed:\n{run.stdout}")
    return run.stdout


def is_python2(name):
    """Whether it runs: pyenv puts a name on the path that may be of no use."""
    try:
        version = subprocess.run([name, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True)
    except OSError:
        return False
    return version.stdout.strip() == "(2, 7)"


def listed(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []

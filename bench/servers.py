"""The servers that are measured: how each is built, started and reached."""

import glob
import json
import os
import shutil
import socket
import subprocess
import time

import handlers
from handlers import Missing

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
PEERS = os.path.join(HERE, "peers")
TARGET = os.path.join(HERE, "target")
START_TIMEOUT_S = 10
# Measures itself, and what handlers are compared with.
HANDLERS = "handlers"
# Crates of bench/peers, and whether they have topics.
CRATES = {
    "floor": True,
    HANDLERS: False,
    "rupor-topics": True,
    "axum": False,
    "fastwebsockets": False,
    "sockudo-ws": False,
    "tokio-tungstenite": False,
    "tokio-websockets": False,
}


class Peer:
    """A server that takes a port: / echoes; with topics, what comes on /publish goes to everybody on /topic."""

    def __init__(self, argv, topics=False):
        self.argv = argv
        self.topics = topics

    def plan(self, scenario, scratch):
        """The command, its first port, the URL and the generator's arguments."""
        port = free_port()
        command = [*self.argv, str(port)]
        if scenario == "broadcast":
            publish = ["--publish-url", f"ws://127.0.0.1:{port}/publish"]
            return command, port, f"ws://127.0.0.1:{port}/topic", publish
        return command, port, f"ws://127.0.0.1:{port}/", []


class Floor(Peer):
    """Speaks no WebSocket: sends bytes back as they came."""

    def plan(self, scenario, scratch):
        port, publish_port = free_port(), free_port()
        command = [*self.argv, str(port)]
        if scenario == "broadcast":
            publish = ["--publish-url", f"tcp://127.0.0.1:{publish_port}"]
            return [*command, str(publish_port)], port, f"tcp://127.0.0.1:{port}", publish
        if scenario == "echo-tls":
            return [*command, *certificate(scratch)], port, f"tcps://127.0.0.1:{port}", ["--insecure"]
        return command, port, f"tcp://127.0.0.1:{port}", []


class Rupor(Peer):
    """`rupor echo`, or the whole gateway where something is published or handled."""

    def plan(self, scenario, scratch):
        port = free_port()
        options = ["--workers", "1", "--log", "error", "--listen", f"127.0.0.1:{port}"]
        if scenario in ("broadcast", "push"):
            path = os.path.join(scratch, "inlet")
            if os.path.exists(path):
                os.remove(path)
            command = [*self.argv, "demo", *options, "--inlet", f"unix://{path}"]
            return command, port, f"ws://127.0.0.1:{port}/", ["--inlet", f"unix://{path}"]
        if scenario in handlers.FLAGS:
            # Room for the generator at full speed: a connection may not be refused for being quick.
            free = ["--inlet", "tcp://127.0.0.1:0", "--messages-per-second", "0"]
            command = [*self.argv, "demo", *options, *free, *handlers.FLAGS[scenario](scratch)]
            return command, port, f"ws://127.0.0.1:{port}/", []
        if scenario.endswith("-tls"):
            cert, key = certificate(scratch)
            command = [*self.argv, "echo", *options, "--tls-cert", cert, "--tls-key", key]
            return command, port, f"wss://127.0.0.1:{port}/", ["--insecure"]
        return [*self.argv, "echo", *options], port, f"ws://127.0.0.1:{port}/", []


class Running:
    """A server's process, on a core of its own, from its start until it is killed."""

    def __init__(self, peer, scenario, scratch, core):
        command, port, self.url, self.arguments = peer.plan(scenario, scratch)
        self.log = open(os.path.join(scratch, "server.log"), "w+", encoding="utf-8", errors="replace")
        command = ["taskset", "-c", str(core), *command]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            self.wait(port)
        except BaseException:
            self.__exit__()
            raise

    def wait(self, port):
        end = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                self.log.seek(0)
                raise Missing(f"does not start: {last_line(self.log.read())}")
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()


def build(program, wanted, compile_them=True):
    """Those of the wanted servers that are to be had, by name, and why the others are not."""
    builders = {"rupor": lambda: Rupor([executable(program)])}
    built = crates(compile_them, [name for name in CRATES if name in wanted or name == HANDLERS and wanted & set(handlers.FLOORS)])
    for kind in handlers.FLOORS:
        builders[kind] = lambda kind=kind: handlers.Floor(built(HANDLERS), kind)
    for name, topics in CRATES.items():
        if name == HANDLERS:
            continue
        kind = Floor if name == "floor" else Peer
        builders[name] = lambda name=name, topics=topics, kind=kind: kind([built(name)], topics)
    builders["uwebsockets"] = lambda: Peer([uwebsockets(compile_them)], topics=True)
    builders["uwebsockets.js"] = lambda: Peer(node("uws.mjs", compile_them), topics=True)
    builders["ws"] = lambda: Peer(node("ws.mjs", compile_them), topics=True)
    builders["picows"] = lambda: Peer(python("picows_server.py", compile_them), topics=True)
    peers, missing = {}, {}
    for name, make in builders.items():
        if name not in wanted:
            continue
        try:
            peers[name] = make()
        except Missing as why:
            missing[name] = str(why)
    return peers, missing


def crates(compile_them, names):
    """Builds these crates at once, each that can be, and says where their programs are."""
    executables, errors = {}, {}

    def find(name):
        if not executables and not errors:
            report = ""
            if compile_them:
                # Not --locked: rupor-server, one of them, may have got another dependency since. The peers' versions are exact.
                command = ["cargo", "build", "--release", "--keep-going", "--message-format", "json-render-diagnostics"]
                command += [word for name in names for word in ("--package", f"peer-{name}")]
                report, errors[""] = output(command, PEERS)
            for line in report.splitlines():
                message = json.loads(line)
                if message.get("executable"):
                    executables[message["target"]["name"]] = message["executable"]
            if not compile_them:
                for path in glob.glob(os.path.join(TARGET, "release", "peer-*")):
                    executables[os.path.basename(path)] = path
                errors[""] = "not built before"
        if path := executables.get(f"peer-{name}"):
            return path
        raise Missing(f"cannot be built: {errors.get('')}")

    return find


def uwebsockets(compile_them):
    """Compiles uWebSockets out of the sources that a crate has."""
    program = os.path.join(TARGET, "peer-uwebsockets")
    if not compile_them:
        return executable(program)
    folder = os.path.join(PEERS, "uwebsockets")
    report = checked(["cargo", "metadata", "--format-version", "1", "--locked"], folder)
    manifests = {package["name"]: package["manifest_path"] for package in json.loads(report)["packages"]}
    sources = os.path.join(os.path.dirname(manifests["libuwebsockets-sys"]), "uWebSockets")
    inner = os.path.join(sources, "uSockets", "src")
    flags = ["-O3", "-march=native", "-flto=auto", "-DLIBUS_NO_SSL", "-DUWS_NO_ZLIB", f"-I{inner}", f"-I{sources}/src"]
    objects = os.path.join(TARGET, "uwebsockets")
    os.makedirs(objects, exist_ok=True)
    files = sorted(glob.glob(f"{inner}/*.c") + glob.glob(f"{inner}/eventing/epoll_kqueue.c"))
    checked(["cc", *flags, "-std=c11", "-D_GNU_SOURCE", "-c", *files], objects)
    inputs = [os.path.join(folder, "server.cpp"), *sorted(glob.glob(f"{objects}/*.o"))]
    checked(["c++", *flags, "-std=c++20", *inputs, "-o", program, "-pthread"], objects)
    return program


def node(script, compile_them):
    folder = os.path.join(PEERS, "node")
    if not os.path.isdir(os.path.join(folder, "node_modules")):
        if not compile_them:
            raise Missing("not built before")
        checked(["npm", "ci", "--loglevel=error"], folder)
    return ["node", os.path.join(folder, script)]


def python(script, compile_them):
    folder = os.path.join(PEERS, "python")
    interpreter = os.path.join(folder, ".venv", "bin", "python")
    if not os.path.exists(interpreter):
        if not compile_them:
            raise Missing("not built before")
        checked(["python3", "-m", "venv", ".venv"], folder)
        checked([interpreter, "-m", "pip", "install", "-q", "-r", "requirements.txt"], folder)
    return [interpreter, os.path.join(folder, script)]


def certificate(scratch):
    """A certificate and its key, made once a run."""
    cert, key = os.path.join(scratch, "cert.pem"), os.path.join(scratch, "key.pem")
    if not os.path.exists(cert):
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        name = ["-subj", "/CN=localhost", "-days", "2"]
        checked(["openssl", "req", "-x509", *kind, *name, "-keyout", key, "-out", cert], scratch)
    return cert, key


def executable(path):
    if not os.path.exists(path):
        raise Missing("not built before")
    return path


def checked(command, folder):
    text, error = output(command, folder)
    if error:
        raise Missing(error)
    return text


def output(command, folder):
    """What a command prints, and the last line of its complaint if it failed."""
    if not shutil.which(command[0]):
        return "", f"{command[0]} is missing"
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    return done.stdout, None if done.returncode == 0 else last_line(done.stderr) or "failed"


def last_line(text):
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it says nothing"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]

#!/usr/bin/env python3
"""Measures rupor against other WebSocket servers and against bare TCP, and writes docs/explanation/performance.md.

    bench/run.py                             everything: hours
    bench/run.py 'echo-64-*' push-x1000-d1000
    bench/run.py --list                      what there is
    bench/run.py --seconds 5 --repeats 5 --peers rupor,floor,uwebsockets 'echo-*-d16'
    bench/run.py --page-only                 writes the page again, from what was measured before

Server and generator (`rupor bench`, which compares every reply) get a core each. A cell is measured `--repeats`
times; each time all its servers run one after the other, freshly started, in random order, with bare TCP before,
between and after them. Handlers are compared with floors that measure themselves (handlers.py). A server that cannot
be built is left out, and the page says so. What was measured is kept in bench/target/results.json; measuring a cell
again replaces it. Exit status: 0 also when a bar is missed, 1 when a server or a run failed, 2 when nothing could be
measured.
"""

import argparse
import fnmatch
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time

import handlers
import page
import servers
from cells import CELLS

RESULTS = os.path.join(servers.TARGET, "results.json")
PAGE = os.path.join(servers.ROOT, "docs", "explanation", "performance.md")
# A run that takes so much longer than it should is ended, and has failed.
RUN_TIMEOUT_S = 120
# What the rest of a server's process needs beside its connections.
DESCRIPTORS_BESIDE = 1000
PAYLOAD_JSON_BYTES = 1024
# Of a run's report, by name; the rest is not kept but for this of its latencies.
LATENCY, CPU = "p50_us", "cpu_us_per_message"
KEPT = (CPU, "messages", "messages_per_s", "generator_cores", "opened", "opened_per_s", "lost_connections", "error")


class Failed(Exception):
    """A run without a figure: why."""


def main():
    options = arguments()
    if options.list:
        for cell in CELLS:
            print(f"{cell.name:<24} {cell.title}")
        return 0
    results = load(options.results)
    failures = 0
    if not options.page_only:
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            print("bench: server and generator need a core each; there is one", file=sys.stderr)
            return 2
        cells = [cell for cell in CELLS if any(fnmatch.fnmatch(cell.name, glob) for glob in options.cells)]
        wanted = {"rupor", *(row.peer for cell in cells for row in cell.rows)}
        peers, missing = servers.build(options.program, wanted & (options.peers or wanted), not options.no_build)
        for name, why in missing.items():
            print(f"{name} is left out: {why}", flush=True)
        if "rupor" not in peers or not cells:
            print("bench: no such cell, see --list" if "rupor" in peers else "bench: there is no rupor", file=sys.stderr)
            return 2
        left_out = {name: why for name, why in results.get("missing", {}).items() if name not in wanted}
        results.update(machine=machine(), missing=left_out | missing, versions=versions())
        with tempfile.TemporaryDirectory(prefix="rupor-bench-") as scratch:
            for cell in cells:
                measured = Measuring(cell, peers, options, cores[:2], scratch).run()
                failures += sum(1 for run in all_runs(measured) if "failed" in run)
                results["cells"][cell.name] = measured
                store(options.results, results)
    page.write(options.page, results)
    print(f"{options.page} is written", flush=True)
    return 1 if failures else 0


def arguments():
    parser = argparse.ArgumentParser(description="rupor against other servers")
    parser.add_argument("cells", nargs="*", default=["*"], help="cells or globs of them")
    parser.add_argument("--list", action="store_true", help="print the cells")
    parser.add_argument("--seconds", type=float, default=2, help="how long one run is measured")
    parser.add_argument("--warmup", type=float, default=0.5, help="seconds before that")
    parser.add_argument("--repeats", type=int, default=3, help="passes over a cell")
    parser.add_argument("--peers", type=lambda names: set(names.split(",")), help="only these, as in rupor,floor,ws")
    parser.add_argument("--program", default=os.environ.get("RUPOR_BIN") or f"{servers.ROOT}/target/release/rupor")
    parser.add_argument("--no-build", action="store_true", help="take the peers that were built before")
    parser.add_argument("--results", default=RESULTS, help="where figures are kept")
    parser.add_argument("--page", default=PAGE, help="the document whose tables are written")
    parser.add_argument("--page-only", action="store_true", help="measure nothing")
    return parser.parse_args()


class Measuring:
    """One cell's passes."""

    def __init__(self, cell, peers, options, cores, scratch):
        self.cell = cell
        self.peers = peers
        self.options = options
        self.server_core, self.generator_core = cores
        self.scratch = scratch
        self.seconds = cell.seconds or options.seconds

    def run(self):
        repeats = min(self.options.repeats, self.cell.repeats or self.options.repeats)
        print(f"\n{self.cell.name}: {self.cell.title}; {self.seconds:g} s × {repeats}", flush=True)
        passes = []
        for number in range(repeats):
            busy = os.getloadavg()[0]
            runs = [self.one(row) for row in self.order()]
            passes.append({"load": busy, "runs": runs})
        return {"seconds": self.seconds, "warmup": self.options.warmup, "passes": passes}

    def order(self):
        """All rows in random order, with the floor first, in the middle and last."""
        rows = [row for row in self.cell.rows if row.peer in self.peers]
        floor = [row for row in rows if row.label == "floor"]
        others = [row for row in rows if row.label != "floor"]
        random.shuffle(others)
        middle = (len(others) + 1) // 2
        rest = others[middle:]
        return floor + others[:middle] + floor + rest + (floor if rest else [])

    def one(self, row):
        try:
            report = self.measure(row)
        except (Failed, servers.Missing) as why:
            print(f"  {row.label:<34} FAILED: {why}", flush=True)
            return {"row": row.label, "failed": str(why)}
        kept = {name: report[name] for name in KEPT if name in report}
        kept.update(report.get("server") or {}, row=row.label)
        if report.get("latency"):
            kept[LATENCY] = report["latency"][LATENCY]
        if kept.get("messages_per_cpu_s"):
            kept[CPU] = 1e6 / kept["messages_per_cpu_s"]
        print(f"  {row.label:<34} {figure(self.cell, kept)}", flush=True)
        return kept

    def measure(self, row):
        raise_descriptors(self.cell.connections)
        peer = self.peers[row.peer]
        with handlers.Ready(row.load, self.scratch, self.server_core) as ready:
            # PHP has a core, and whoever calls it the other one.
            core = self.generator_core if ready.has_php else self.server_core
            if isinstance(peer, handlers.Floor):
                return self.measured(peer.command(self.cell, self.scratch, core, self.options.warmup, self.seconds))
            return self.generate(peer, row, core)

    def generate(self, peer, row, core):
        with servers.Running(peer, row.load, self.scratch, core) as server:
            command = ["taskset", "-c", self.generator_core, self.options.program, "bench", self.cell.scenario]
            command += [server.url + row.query, "--json", "--pid", server.process.pid]
            command += ["--connections", self.cell.connections, *self.cell.arguments]
            if self.cell.json:
                command += ["--payload-file", json_payload(self.scratch)]
            warmup = 0 if "--messages" in self.cell.arguments else self.options.warmup
            command += ["--duration", milliseconds(self.seconds), "--warmup", milliseconds(warmup)]
            command += [*server.arguments, *row.arguments]
            return self.measured(command)

    def measured(self, command):
        try:
            done = subprocess.run(
                [str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=self.seconds + RUN_TIMEOUT_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Failed("takes too long") from None
        if not done.stdout.strip():
            raise Failed(servers.last_line(done.stderr))
        report = json.loads(done.stdout)
        # Every reply was compared; one that is missing or wrong is an error.
        if report["error"]:
            raise Failed(report["error"])
        if self.cell.scenario != "idle" and not report["messages"] and "--messages" not in self.cell.arguments:
            raise Failed("nothing came back")
        return report


def figure(cell, run):
    if cell.table == "rate":
        rate = run["messages_per_cpu_s"]
        return f"{rate:>12,.0f} messages per CPU second, generator {run['generator_cores']:.2f} cores"
    if cell.table == "handlers":
        return f"{run['messages_per_s']:>12,.0f} events per second, p50 {run[LATENCY]:,.0f} us, {run[CPU]:.1f} us of CPU each"
    return (
        f"{run['bytes_per_connection_open']:>9,.0f} bytes, at the end {run['bytes_per_connection_end']:>9,.0f}, "
        f"{run['opening_cpu_us_per_connection']:.1f} us to open"
    )


def all_runs(measured):
    return [run for one in measured["passes"] for run in one["runs"]]


def milliseconds(seconds):
    return f"{round(seconds * 1000)}ms"


def raise_descriptors(connections):
    """Server and generator inherit this limit. What the system does not allow, the generator says."""
    wanted = connections + DESCRIPTORS_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
        except (ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def json_payload(scratch):
    """A message such as a site sends: a list of alike objects with words and numbers, of exactly the length."""
    path = os.path.join(scratch, "payload.json")
    words = "order shipped ready waiting paid basket customer invoice delayed kitchen counter table".split()
    chance = random.Random(1)
    items = []
    while True:
        item = {"id": chance.randrange(10**6), "state": chance.choice(words), "note": " ".join(chance.choices(words, k=4))}
        text = json.dumps({"kind": "update", "items": [*items, item]})
        if len(text) > PAYLOAD_JSON_BYTES:
            break
        items.append(item)
    text = json.dumps({"kind": "update", "items": items})
    with open(path, "w", encoding="utf-8") as file:
        file.write(text + " " * (PAYLOAD_JSON_BYTES - len(text)))
    return path


def machine():
    """What the figures depend on, without names or places."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        lines = file.read().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    virtual = any(line.startswith("flags") and "hypervisor" in line.split() for line in lines)
    return {
        "cores": os.cpu_count(),
        "model": model,
        "virtual": virtual,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "date": time.strftime("%Y-%m"),
    }


def versions():
    """What the peers' lists pin, as they say it."""
    found = {}
    lock = open(os.path.join(servers.PEERS, "Cargo.lock"), encoding="utf-8").read()
    for package in lock.split("[[package]]"):
        fields = dict(line.split(" = ", 1) for line in package.strip().splitlines() if " = " in line)
        name = fields.get("name", "").strip('"')
        if name in servers.CRATES and name != "rupor-topics":
            found[name] = fields["version"].strip('"')
    dependencies = json.load(open(os.path.join(servers.PEERS, "node", "package.json"), encoding="utf-8"))["dependencies"]
    found["ws"] = f"{dependencies['ws']} on node {servers.output(['node', '--version'], servers.HERE)[0].strip()}"
    found["uwebsockets.js"] = dependencies["@trufflesuite/uws-js-unofficial"]
    with open(os.path.join(servers.PEERS, "python", "requirements.txt"), encoding="utf-8") as file:
        found["picows"] = ", ".join(line.strip().replace("==", " ") for line in file).removeprefix("picows ")
    found["uwebsockets"] = "the sources in libuwebsockets-sys 0.0.10"
    return found


def load(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {"cells": {}}


def store(path, results):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Runs the Autobahn test suite against `rupor echo` and compares with expected.json.

    conformance/run.py                      groups 1 to 10 against target/release/rupor
    conformance/run.py '9.*' 7.1.1          only these cases
    conformance/run.py --url ws://host:1/   a server that runs already
    conformance/run.py --update             write what came as the new expected.json

The suite's cases are run by kosoku (scripts/deps installs it). A difference in either direction is
a failure; so is any expected result that is neither OK nor INFORMATIONAL, which keeps a weaker
result from being "expected" away. Exit status: 0 all as expected, 1 not so, 2 the run did not work.
"""

import argparse
import fnmatch
import json
import os
import re
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
EXPECTED = os.path.join(HERE, "expected.json")
# 8 and 11 are empty; 12 and 13 are permessage-deflate.
GROUPS = [f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 9, 10)]
START_TIMEOUT_S = 30
RUN_TIMEOUT_S = 900


def main():
    parser = argparse.ArgumentParser(description="Autobahn against rupor echo")
    parser.add_argument("cases", nargs="*", default=GROUPS, help="case ids or globs")
    parser.add_argument("--program", default=os.environ.get("RUPOR_BIN") or f"{ROOT}/target/release/rupor")
    parser.add_argument("--driver", default=f"{ROOT}/e2e/.venv/bin/kosoku")
    parser.add_argument("--url", help="test this server instead of starting one")
    parser.add_argument("--jobs", default="2", help="cases at a time")
    parser.add_argument("--reports", help="keep the reports in this folder")
    parser.add_argument("--update", action="store_true", help="write expected.json")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="rupor-autobahn-") as temporary:
        reports = options.reports or temporary
        if options.url:
            results = run_cases(options, options.url, reports)
        else:
            with Echo(options.program) as url:
                results = run_cases(options, url, reports)
        if options.update:
            return update(results)
        return compare(results, options.cases, reports)


class Echo:
    """`rupor echo` on a free port, ended on exit."""

    def __init__(self, program):
        command = [program, "echo", "--listen", "127.0.0.1:0", "--workers", "1"]
        # The program would take a developer's variables for options.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RUPOR_")}
        try:
            self.process = subprocess.Popen(
                command, env=environment, text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
        except OSError as error:
            fail(f"cannot start {program}: {error} (cargo build --release makes it)")
        self.lines = []
        self.address = None
        self.known = threading.Event()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            found = re.search(r"\b(127\.0\.0\.1:\d+)", line)
            if found and not self.address:
                self.address = found.group(1)
                self.known.set()
        self.known.set()

    def __enter__(self):
        self.known.wait(START_TIMEOUT_S)
        if not self.address:
            self.__exit__()
            fail("the echo server did not say where it listens:\n" + "".join(self.lines))
        return f"ws://{self.address}/"

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def run_cases(options, url, reports):
    """Runs the cases and returns {case: {behavior, behaviorClose, …}} as the driver reports it."""
    index = os.path.join(reports, "index.json")
    if os.path.exists(index):
        os.remove(index)
    command = [options.driver, "-p", options.jobs, "-o", reports]
    for case in options.cases:
        command += ["-i", case]
    try:
        run = subprocess.run(
            command + [url], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_TIMEOUT_S
        )
    except OSError as error:
        fail(f"cannot run {options.driver}: {error} (make deps installs it)")
    except subprocess.TimeoutExpired:
        fail(f"the cases took longer than {RUN_TIMEOUT_S} s")
    try:
        with open(index, encoding="utf-8") as file:
            (results,) = json.load(file).values()
    except (OSError, ValueError) as error:
        fail(f"no report ({error}); the driver said:\n{run.stdout}{run.stderr}")
    return results


def update(results):
    lines = [f"  {json.dumps(case)}: {json.dumps(verdict(results[case]))}" for case in sorted(results, key=order)]
    with open(EXPECTED, "w", encoding="utf-8") as file:
        file.write("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(lines)} results written to {os.path.relpath(EXPECTED)}")
    return 0


def compare(results, patterns, reports):
    with open(EXPECTED, encoding="utf-8") as file:
        expected = json.load(file)
    wanted = {case for case in expected if any(fnmatch.fnmatchcase(case, p) for p in patterns)}
    failed = 0
    for case in sorted(wanted | set(results), key=order):
        want = expected.get(case)
        got = verdict(results[case]) if case in results else None
        weak = want and not set(want) <= {"OK", "INFORMATIONAL"}
        if want == got and not weak:
            continue
        failed += 1
        print(f"case {case}: expected {shown(want)}, got {shown(got)}{reason(results.get(case), reports)}")
    print(f"{len(wanted | set(results)) - failed} passed, {failed} failed")
    return 1 if failed else 0


def verdict(result):
    return [result["behavior"], result["behaviorClose"]]


def shown(pair):
    return f"{pair[0]} with close {pair[1]}" if pair else "nothing"


def reason(result, reports):
    """What the suite says about a case that came out otherwise."""
    if not result:
        return ""
    try:
        with open(os.path.join(reports, result["reportfile"]), encoding="utf-8") as file:
            report = json.load(file)
    except (OSError, ValueError, KeyError):
        return ""
    return f": {report.get('result')} / {report.get('resultClose')}"


def order(case):
    return [int(number) for number in case.split(".")]


def fail(message):
    print(message, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    sys.exit(main())

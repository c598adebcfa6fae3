#!/usr/bin/env python3
"""Runs the Autobahn test suite against `rupor echo` and against a client of rupor-proto, and compares
with what is expected of both: expected.json.

    conformance/run.py                          all 517 cases, both roles, every engine that can run here
    conformance/run.py --short                  the same with kosoku, without most of permessage-deflate
    conformance/run.py --role server '9.*' 12.1.1
    conformance/run.py --engine wstest          fails where there is no Python 2.7
    conformance/run.py --role server --url ws://host:1/   a server that runs already
    conformance/run.py --engine kosoku --update           write what came as what is expected

A difference in either direction is a failure; so is any expected result that is neither OK nor
INFORMATIONAL, which keeps a weaker result from being "expected" away. Exit status: 0 all as
expected, 1 not so, 2 the run did not work.
"""

import argparse
import concurrent.futures
import fnmatch
import json
import os
import subprocess
import sys
import tempfile

from engines import ENGINES, ROOT, Failed, Running

# 8 and 11 are empty; 12 and 13 are permessage-deflate.
GROUPS = [f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 13)]
# Of permessage-deflate a thousand messages of 1 KiB, and a thousand of 8 KiB in fragments of 256 bytes, for
# each kind of content and each set of parameters.
SHORT = GROUPS[:-2] + ["12.*.4", "12.*.11", "13.*.4", "13.*.11"]
# The suite asks for these only clients that offer client_no_context_takeover.
ALONE = ("13.2.", "13.5.", "13.6.", "13.7.")
AGENT = "rupor"
CASE_TIMEOUT_S = 600
EXPECTED = os.path.join(ROOT, "conformance", "expected.json")
ADDRESS = r"\b(127\.0\.0\.1:\d+)"


def main():
    parser = argparse.ArgumentParser(description="Autobahn against rupor")
    parser.add_argument("cases", nargs="*", help="case ids or globs")
    parser.add_argument("--short", action="store_true", help="kosoku, and few cases of permessage-deflate")
    parser.add_argument("--role", action="append", choices=ROLES, help="which side of ours is tested")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="what runs the cases")
    parser.add_argument("--program", default=os.environ.get("RUPOR_BIN") or f"{ROOT}/target/release/rupor")
    parser.add_argument("--client", default=os.environ.get("RUPOR_CLIENT") or f"{ROOT}/target/release/examples/client_blocking")
    parser.add_argument("--url", help="test this server instead of starting one")
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time, where the engine can")
    parser.add_argument("--reports", help="keep the reports in this folder")
    parser.add_argument("--update", action="store_true", help="write what is expected")
    options = parser.parse_args()
    options.cases = options.cases or (SHORT if options.short else GROUPS)

    status = 0
    for name in options.engine or (["kosoku"] if options.short else ENGINES):
        engine = ENGINES[name]()
        if why := engine.missing():
            print(f"{name} is left out: {why}", flush=True)
            status = max(status, 2 if options.engine or name == "kosoku" else 0)
            continue
        for role in options.role or ROLES:
            status = max(status, one_run(engine, role, options))
    return status


def one_run(engine, role, options):
    """All cases by one engine for one role."""
    with tempfile.TemporaryDirectory(prefix="rupor-autobahn-") as temporary:
        reports = os.path.join(options.reports or temporary, f"{engine.name}-{role}")
        index = os.path.join(reports, "index.json")
        if os.path.exists(index):
            os.remove(index)
        try:
            said = ROLES[role](engine, options, options.cases, reports)
            try:
                with open(index, encoding="utf-8") as file:
                    (results,) = json.load(file).values()
            except (OSError, ValueError) as error:
                raise Failed(f"no report ({error}); it said:\n{said}") from None
        except Failed as failed:
            print(f"{role}, {engine.name}: {failed}", file=sys.stderr, flush=True)
            return 2
        if options.update:
            return update(results)
        return compare(engine, role, results, options.cases, reports)


def test_server(engine, options, cases, reports):
    if options.url:
        return engine.test_server(options.url, cases, options.jobs, reports)
    command = [options.program, "echo", "--listen", "127.0.0.1:0", "--workers", "1"]
    with Running(command) as running:
        url = f"ws://{running.address(ADDRESS)}/"
        return engine.test_server(url, cases, options.jobs, reports)


def test_client(engine, options, patterns, reports):
    """The client asks how many cases there are, runs each, and asks for the reports."""
    with engine.serve(patterns, reports) as address:
        def client(target, *more):
            try:
                return subprocess.run(
                    [options.client, address, target, *more], stdin=subprocess.DEVNULL,
                    capture_output=True, text=True, errors="replace", timeout=CASE_TIMEOUT_S,
                )
            except OSError as error:
                raise Failed(f"cannot run {options.client}: {error} (make client builds it)") from None
            except subprocess.TimeoutExpired:
                raise Failed(f"{target} took longer than {CASE_TIMEOUT_S} s") from None

        count = client("/getCaseCount")
        # The suite knows cases by number only.
        cases = sorted(matching(expected(), patterns), key=order)
        if count.stdout.strip() != str(len(cases)):
            raise Failed(f"the suite has not these {len(cases)} cases, but: {count.stdout}{count.stderr}")

        def run_case(number, case):
            # How it ended is in its report; a rule that the suite breaks is an error to the client.
            alone = ["alone"] if case.startswith(ALONE) else []
            client(f"/runCase?case={number}&agent={AGENT}", "echo", *alone)

        with concurrent.futures.ThreadPoolExecutor(options.jobs) as jobs:
            for _ in jobs.map(run_case, range(1, len(cases) + 1), cases):
                pass
        last = client(f"/updateReports?agent={AGENT}")
        return last.stdout + last.stderr


ROLES = {"server": test_server, "client": test_client}


def matching(cases, patterns):
    return {case for case in cases if any(fnmatch.fnmatchcase(case, pattern) for pattern in patterns)}


def expected():
    with open(EXPECTED, encoding="utf-8") as file:
        return json.load(file)


def update(results):
    table = expected() | {case: verdict(result) for case, result in results.items()}
    lines = [f"  {json.dumps(case)}: {json.dumps(table[case])}" for case in sorted(table, key=order)]
    with open(EXPECTED, "w", encoding="utf-8") as file:
        file.write("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(results)} results written to {os.path.relpath(EXPECTED)}")
    return 0


def compare(engine, role, results, patterns, reports):
    table = expected()
    wanted = matching(table, patterns)
    failed = 0
    for case in sorted(wanted | set(results), key=order):
        want = table.get(case)
        got = verdict(results[case]) if case in results else None
        weak = want and not set(want) <= {"OK", "INFORMATIONAL"}
        if want == got and not weak:
            continue
        failed += 1
        print(f"case {case}: expected {shown(want)}, got {shown(got)}{reason(results.get(case), reports)}")
    kinds = [result["behavior"] for result in results.values()]
    ok, informational = kinds.count("OK"), kinds.count("INFORMATIONAL")
    others = len(kinds) - ok - informational
    print(f"{role}, {engine.name}: {ok} OK, {informational} informational, {others} others")
    # One line that scripts/run-tests adds up.
    print(f"{len(wanted | set(results)) - failed} passed, {failed} failed", flush=True)
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


if __name__ == "__main__":
    sys.exit(main())

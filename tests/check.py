#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""All the tests, one step after the other; the closing line counts them.

    tests/check.py [--long] [--only STEP …] [--fuzz-seconds N]
"""

import argparse
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOUSE / "tests"))
import gates  # noqa: E402

# Rooms whose code runs in several threads: their unit tests run under TSan too.
THREADED = ("net", "keys", "store", "receive", "deliver")
SANITIZER_ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}
TEST_SECONDS = 300


class Tally:
    def __init__(self):
        self.passed, self.failed, self.skipped = 0, 0, 0
        self.failures = []

    def add(self, name, passed=0, failed=0, skipped=0, detail=""):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped
        if failed:
            self.failures.append((name, detail))


def say(text):
    print(text, flush=True)


def build(folder, compiler, *options, targets=()):
    """Configures and compiles; a subprocess result."""
    environment = {**os.environ, "CC": compiler}
    if not (HOUSE / folder / "build.ninja").exists():
        shutil.rmtree(HOUSE / folder, ignore_errors=True)
        result = subprocess.run(["meson", "setup", folder, *options], cwd=HOUSE, env=environment,
                                capture_output=True, text=True)
        if result.returncode != 0:
            return result
    return subprocess.run(["ninja", "-C", folder, *targets], cwd=HOUSE, env=environment, capture_output=True,
                          text=True)


def unit_programs(folder, rooms=None):
    result = subprocess.run(["meson", "introspect", "--tests", folder], cwd=HOUSE, capture_output=True, text=True,
                            check=True)
    tests = json.loads(result.stdout)
    return [(test["name"], test["cmd"][0]) for test in tests
            if rooms is None or test["name"].split("/")[0] in rooms]


def run_unit_program(name, program):
    """Counts the rows of a cmocka program by its TAP output: (name, passed, failed, skipped, output)."""
    environment = {**os.environ, **SANITIZER_ENVIRONMENT, "CMOCKA_MESSAGE_OUTPUT": "TAP"}
    try:
        result = subprocess.run([program], cwd=HOUSE, env=environment, capture_output=True, text=True,
                                errors="replace", timeout=TEST_SECONDS)
        output, status = result.stdout + result.stderr, result.returncode
    except subprocess.TimeoutExpired as late:
        output, status = f"no end after {TEST_SECONDS} s\n{late.stdout or ''}", 1
    passed = len(re.findall(r"^ok \d+(?!.*# SKIP)", output, re.M))
    skipped = len(re.findall(r"^ok \d+.*# SKIP", output, re.M))
    failed = len(re.findall(r"^not ok \d+", output, re.M))
    if status != 0 and failed == 0:
        failed = 1
    if status == 0 and passed + skipped == 0:
        passed = 1
    return name, passed, failed, skipped, output


def unit_tests(tally, label, folder, rooms=None):
    before = (tally.passed, tally.failed)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, passed, failed, skipped, output in pool.map(lambda test: run_unit_program(*test),
                                                              unit_programs(folder, rooms)):
            tally.add(f"{label}: {name}", passed, failed, skipped, output)
    say(f"  {label}: {tally.passed - before[0]} passed, {tally.failed - before[1]} failed")


def compile_step(tally, label, *arguments, **options):
    result = build(*arguments, **options)
    if result.returncode != 0:
        tally.add(label, failed=1, detail=result.stdout[-6000:] + result.stderr[-2000:])
        say(f"  {label}: does not compile")
        return False
    tally.add(label, passed=1)
    return True


def step_gates(tally, options):
    for name, problems in gates.all_gates(HOUSE):
        tally.add(f"gate: {name}", passed=not problems, failed=bool(problems), detail="\n".join(problems))
        if problems:
            say(f"  {name}: {len(problems)} problem(s)")


def step_gcc(tally, options):
    if compile_step(tally, "gcc, release, -Werror", "build-check", "gcc", "--buildtype=release", "--werror",
                    "-Dtest_hooks=true"):
        unit_tests(tally, "unit tests (gcc)", "build-check")


def step_clang(tally, options):
    compile_step(tally, "clang, -Werror", "build-clang", "clang", "--buildtype=debugoptimized", "--werror")


def step_sanitizers(tally, options):
    if compile_step(tally, "ASan and UBSan build", "build-asan", "clang", "--buildtype=debug",
                    "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dtest_hooks=true", "-Doptimization=1"):
        unit_tests(tally, "unit tests (ASan, UBSan)", "build-asan")


def step_threads(tally, options):
    if compile_step(tally, "TSan build", "build-tsan", "clang", "--buildtype=debug", "-Db_sanitize=thread",
                    "-Db_lundef=false", "-Doptimization=1"):
        unit_tests(tally, "unit tests (TSan)", "build-tsan", THREADED)


def step_fuzz(tally, options):
    if not compile_step(tally, "fuzz targets", "build-fuzz", "clang", "--buildtype=debug", "-Dfuzz=true",
                        "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1",
                        targets=["fuzz-targets"]):
        return
    targets = sorted((HOUSE / "build-fuzz/tests/fuzz").glob("fuzz_*[!.p]"))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda target: fuzz(target, options.fuzz_seconds), [t for t in targets if t.is_file()])
        for name, status, output in results:
            tally.add(f"fuzz: {name}", passed=status == 0, failed=status != 0, detail=output[-4000:])
    say(f"  {len(targets)} fuzz targets, {options.fuzz_seconds} s each")


def fuzz(target, seconds):
    name = target.name.removeprefix("fuzz_")
    found = HOUSE / "build-fuzz/corpus" / name
    found.mkdir(parents=True, exist_ok=True)
    arguments = [str(target), f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=0",
                 f"-artifact_prefix={found.parent}/crash-{name}-", str(found)]
    seeds = HOUSE / "tests/fuzz/corpus" / name
    if seeds.is_dir():
        arguments.append(str(seeds))
    dictionary = HOUSE / "tests/fuzz" / f"{name}.dict"
    if dictionary.exists():
        arguments.insert(1, f"-dict={dictionary}")
    result = subprocess.run(arguments, capture_output=True, text=True, errors="replace",
                            env={**os.environ, **SANITIZER_ENVIRONMENT})
    return name, result.returncode, result.stderr


def step_journey(tally, options):
    if not compile_step(tally, "the daemon", "build-check", "gcc", "--buildtype=release", "--werror",
                        "-Dtest_hooks=true"):
        return
    report = HOUSE / "build-check/journey.xml"
    report.unlink(missing_ok=True)
    arguments = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/journey",
                 f"--junitxml={report}", "--tb=short"]
    if not options.long:
        arguments += ["-m", "not long"]
    result = subprocess.run(arguments, cwd=HOUSE, capture_output=True, text=True, errors="replace")
    if not report.exists():
        tally.add("journey tests", failed=1, detail=result.stdout[-4000:] + result.stderr[-4000:])
        return
    suite = xml.etree.ElementTree.parse(report).getroot().find("testsuite")
    counts = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
    bad = counts["failures"] + counts["errors"]
    tally.add("journey tests", counts["tests"] - bad - counts["skipped"], bad, counts["skipped"],
              result.stdout[-12000:])
    say(f"  {counts['tests']} journey tests, {bad} failed, {counts['skipped']} skipped")
    for line in result.stdout.splitlines():
        if line.startswith("COUNTS "):
            say(f"  {line.removeprefix('COUNTS ')}")


STEPS = {
    "gates": ("the house's gates", step_gates),
    "gcc": ("gcc, warnings as errors, unit tests", step_gcc),
    "clang": ("clang, warnings as errors", step_clang),
    "sanitizers": ("ASan and UBSan", step_sanitizers),
    "threads": ("TSan", step_threads),
    "fuzz": ("fuzz targets, briefly", step_fuzz),
    "journey": ("journeys: the built daemon against real and hostile peers", step_journey),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--fuzz-seconds", type=int, default=0)
    options = parser.parse_args()
    options.fuzz_seconds = options.fuzz_seconds or (60 if options.long else 5)
    tally = Tally()
    for name in options.only:
        title, step = STEPS[name]
        start = time.monotonic()
        say(f"{title}")
        step(tally, options)
        say(f"  ({time.monotonic() - start:.0f} s)")
    for name, detail in tally.failures:
        say(f"\n==== {name}\n{detail.strip()}")
    say(f"\n{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())

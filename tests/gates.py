# SPDX-License-Identifier: ISC
"""The gates of the house: what may not be in it, whoever wrote it. Each gives a list of problems."""

import re
import subprocess
from pathlib import Path

FUNCTION_LINES_MAX, FILE_LINES_MAX, COMPLEXITY_MAX = 80, 600, 15


def _tracked(house, *patterns):
    result = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns], cwd=house,
                            capture_output=True, text=True, check=True)
    return [Path(house) / name for name in result.stdout.splitlines() if (Path(house) / name).is_file()]


def files_are_short(house):
    return [f"{path.relative_to(house)}: {count} lines (at most {FILE_LINES_MAX})"
            for path in _tracked(house, "src/*.c", "src/*.h")
            if (count := len(path.read_text().splitlines())) > FILE_LINES_MAX]


def functions_are_simple(house):
    sources = [str(path.relative_to(house)) for path in _tracked(house, "src/*.c")]
    result = subprocess.run(["pmccabe", *sources], cwd=house, capture_output=True, text=True)
    problems = []
    for line in result.stdout.splitlines():
        fields = line.split("\t")
        if len(fields) < 6:
            continue
        complexity, lines, where = int(fields[0]), int(fields[4]), fields[5]
        if complexity > COMPLEXITY_MAX:
            problems.append(f"{where}: complexity {complexity} (at most {COMPLEXITY_MAX})")
        if lines > FUNCTION_LINES_MAX:
            problems.append(f"{where}: {lines} lines (at most {FUNCTION_LINES_MAX})")
    return problems


def no_include_climbs(house):
    return [f"{path.relative_to(house)}: an include climbs over a wall"
            for path in _tracked(house, "src/*.c", "src/*.h") if '#include "../' in path.read_text()]


def sql_stands_in_the_store(house):
    pattern = re.compile(r"sqlite3_|\b(SELECT|INSERT INTO|DELETE FROM)\b")
    return [f"{path.relative_to(house)}: SQL outside store/"
            for path in _tracked(house, "src/*.c", "src/*.h")
            if "src/store/" not in str(path) and pattern.search(path.read_text())]


def comments_are_block_comments(house):
    problems = []
    for path in _tracked(house, "src/*.c", "src/*.h"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            bare = re.sub(r'"(\\.|[^"\\])*"', '""', line)
            bare = re.sub(r"/\*.*?\*/", "", bare)
            if "//" in bare and not bare.lstrip().startswith("*") and not bare.lstrip().startswith("/*"):
                problems.append(f"{path.relative_to(house)}:{number}: // comment")
    return problems


def files_open_with_their_story(house):
    return [f"{path.relative_to(house)}: no opening comment, or no SPDX line below it"
            for path in _tracked(house, "src/*.c", "src/*.h")
            if not path.read_text().startswith("/*") or "SPDX-License-Identifier: ISC" not in path.read_text()[:800]]


def layout_is_the_formatter_s(house):
    sources = [str(path.relative_to(house)) for path in _tracked(house, "*.c", "*.h")]
    result = subprocess.run(["clang-format", "--dry-run", *sources], cwd=house, capture_output=True, text=True)
    return sorted({line.split(":")[0] + ": not as the formatter would have it (make format)"
                   for line in result.stderr.splitlines() if "warning:" in line})


def nothing_sounds_unfinished(house):
    pattern = re.compile(r"\b(TODO|FIXME|XXX|Placeholder)\b")
    return [f"{path.relative_to(house)}:{number}: {line.strip()[:80]}"
            for path in _tracked(house, "src/*", "lab/*", "bench/*")
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1) if pattern.search(line)]


def every_fuzz_target_has_seeds(house):
    return [f"{path.relative_to(house)}: no seeds in tests/fuzz/corpus/{path.stem.removeprefix('fuzz_')}"
            for path in _tracked(house, "tests/fuzz/fuzz_*.c")
            if not list((Path(house) / "tests/fuzz/corpus" / path.stem.removeprefix("fuzz_")).glob("*"))]


def buffers_begin_before_any_way_out(house):
    """A scoped_buffer is cleared at every return: one that comes before its buffer_init frees garbage."""
    problems = []
    for path in _tracked(house, "src/*.c"):
        waiting = {}
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line == "}":
                waiting = {}
            declared = re.match(r"\s+scoped_buffer ([^;=]+);", line)
            if declared:
                waiting |= {name.strip(): number for name in declared.group(1).split(",")}
            begun = re.search(r"buffer_init(?:_secret)?\(&(\w+)", line)
            if begun:
                waiting.pop(begun.group(1), None)
            if waiting and re.search(r"\breturn\b", line):
                problems.append(f"{path.relative_to(house)}:{number}: returns before {', '.join(waiting)} has begun")
    return problems


def all_gates(house):
    gates = [files_are_short, functions_are_simple, no_include_climbs, sql_stands_in_the_store,
             comments_are_block_comments, files_open_with_their_story, layout_is_the_formatter_s,
             nothing_sounds_unfinished, every_fuzz_target_has_seeds,
             buffers_begin_before_any_way_out]
    return [(gate.__name__.replace("_", " "), gate(house)) for gate in gates]

# SPDX-License-Identifier: ISC
"""Every fact that the gateway can log stands in docs/operations.md, at the level that it has there, and no other does."""

import re
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[2]
PAGE = HOUSE / "docs/operations.md"
TEXT = r'"(?:[^"\\]|\\.)*"'
# The fact is the first text, or two where a condition chooses; texts side by side are one.
CALL = re.compile(r"\blog_(?:fact|plain|error|death)\((.*?)\);", re.DOTALL)
RUN = re.compile(rf"{TEXT}(?:\s*{TEXT})*")
LEVEL = re.compile(r"LOG_LEVEL_([A-Z]+)")
SECTIONS = {"ALARM": "### Alarms", "WARNING": "### Warnings", "INFO": "### Information"}


def facts_of_source():
    """{fact: levels} of every call in src/."""
    found = {}
    for path in sorted((HOUSE / "src").rglob("*.c")):
        if path.name == "log.c":
            continue
        for call in CALL.findall(path.read_text()):
            before_fields = call.split("{", 1)[0]
            levels = LEVEL.findall(before_fields) or (["ALARM"] if "status," in before_fields else [])
            for run in RUN.findall(before_fields) if levels else []:
                fact = "".join(part[1:-1] for part in re.findall(TEXT, run))
                found.setdefault(fact, set()).update(levels)
    return found


def facts_of_page(level):
    page = PAGE.read_text()
    section = page[page.index(SECTIONS[level]):].split("\n#", 1)[0]
    first_cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {fact for cell in first_cells for fact in re.findall(r"`([^`]*)`", cell)}


def test_every_fact_stands_in_the_page_at_its_level():
    facts = facts_of_source()
    assert len(facts) > 40
    missing = {level: sorted(fact for fact, levels in facts.items() if level in levels
                             and not any(fact in facts_of_page(other) for other in levels if other in SECTIONS))
               for level in SECTIONS}
    assert not any(missing.values()), missing


def test_the_page_knows_no_fact_that_is_never_logged():
    facts = facts_of_source()
    for level in SECTIONS:
        strange = sorted(fact for fact in facts_of_page(level) if level not in facts.get(fact, set()))
        assert not strange, (level, strange)

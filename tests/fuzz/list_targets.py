# SPDX-License-Identifier: ISC
"""Prints a line for each fuzz target: its name and the rooms that its first line says it links."""

import re
import sys
from pathlib import Path

for source in sorted(Path(sys.argv[1]).glob("fuzz_*.c")):
    rooms = re.search(r"fuzz-deps:([a-z ]*)", source.read_text())
    print(source.stem, rooms.group(1).strip() if rooms else "base")

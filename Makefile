# The front door. Everything that is built lies in build/; everything that runs, in run/.
# SPDX-License-Identifier: ISC

.PHONY: all build run stop check check-long bench fuzz format clean
.DEFAULT_GOAL := build

build:
	@packaging/install-packages build
	@test -f build/build.ninja || meson setup build --buildtype=release >/dev/null
	@meson compile -C build >build/compile.log 2>&1 || { cat build/compile.log; exit 1; }

all: build

# The main job on realistic messages. Ends by itself; the gateway stays up.
run:
	@packaging/install-packages run
	@$(MAKE) --no-print-directory build
	@lab/show

stop:
	@lab/show --stop

# All the tests that fit into 20 minutes on two cores; the closing line counts them.
check:
	@packaging/install-packages check
	@python3 tests/check.py

check-long:
	@packaging/install-packages check
	@python3 tests/check.py --long

# Ratios beside Debian's Postfix, side by side in one run.
bench:
	@packaging/install-packages check
	@$(MAKE) --no-print-directory build
	@python3 bench/bench.py

# Each fuzz target for FUZZ_SECONDS (default 60).
fuzz:
	@packaging/install-packages check
	@python3 tests/check.py --only fuzz --fuzz-seconds $${FUZZ_SECONDS:-60}

format:
	@packaging/install-packages check
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf build build-* run

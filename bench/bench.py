#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Letterlock beside Debian's Postfix: the same load, the same sink, one run, in shuffled rounds.

    bench/bench.py [--rounds 5] [--messages 4000] [--write]

Only ratios mean something: machines are shared and noisy. Every round runs each case for both, in
shuffled order; the table shows the median of each and the median of the rounds' ratios.
"""

import argparse
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOUSE))
from lab.certificates import Authority  # noqa: E402
from lab.gateway import Gateway  # noqa: E402
from lab.names import NameServer  # noqa: E402
from lab.peers import Peers  # noqa: E402
from lab.postfix import Postfix  # noqa: E402
from lab.processes import free_port, wait_for_port  # noqa: E402

BUILD = HOUSE / "build"
SINK = "127.0.1.1"

POLICY = """\
hostname "mx.clinic.example"
domains "clinic.example"
state "{folder}/state"
certificate "{certificate}" key "{key}"
roots "{roots}"
resolver "127.0.0.1 port {dns}"
master key file "{master}"
largest message 25 MB
laboratory "127.0.0.0/8" port {mx}
listen smtp port {smtp} on "127.0.0.1"
listen relay port {relay} on "127.0.0.1" trusting network "127.0.0.0/8"
permit cleartext to "sink.example"
hold "accept only" when to "kept.example"
send "in the clear" when to "sink.example" by {{ cleartext }}
send "sealed" by {{ tls encrypt, return }}
"""

# name: (recipients' domain, is TLS used by client and sink, does the time end with the sink's last message)
CASES = {
    "accept, durable": ("kept.example", False, False),
    "accept, durable, TLS": ("kept.example", True, False),
    "end to end": ("sink.example", False, True),
    "end to end, TLS both ways": ("tls.example", True, True),
}


class Stage:
    """Everything that one case of one server needs, on fresh folders and ports."""

    def __init__(self, peers, authority):
        self.peers, self.authority = peers, authority
        self.folder = Path(tempfile.mkdtemp(prefix="letterlock-bench-", dir="/var/tmp"))
        self.folder.chmod(0o755)
        self.port, self.mx = free_port(), free_port()
        self.running = []

    def letterlock(self, sink_tls):
        names = NameServer(self.folder / "names", self.peers, free_port())
        names.publish(["sink MX 10 mx.sink", f"mx.sink A {SINK}", "tls MX 10 mx.sink", "kept MX 10 mx.sink"])
        certificate, key = self.authority.issue("mx.clinic.example")
        policy = POLICY.format(folder=self.folder, certificate=certificate, key=key, mx=self.mx, dns=names.port,
                               roots=self.authority.certificate, smtp=free_port(), relay=self.port,
                               master=Gateway.make_master_key(self.folder / "master.key"))
        gateway = Gateway(BUILD, self.folder, policy, [("127.0.0.1", self.port)])
        self.running += [names, gateway]
        gateway.start()

    def postfix(self, sink_tls):
        certificate, key = self.authority.issue("mx.clinic.example")
        options = {"default_process_limit": "100", "in_flow_delay": "0", "smtpd_recipient_limit": "1000",
                   "smtp_destination_concurrency_limit": "20", "initial_destination_concurrency": "20",
                   "smtpd_recipient_restrictions": f"check_recipient_access texthash:{self.folder}/hold, permit_mynetworks, reject",
                   "smtp_tls_session_cache_database": "", "smtp_connection_cache_on_demand": "yes"}
        (self.folder / "hold").write_text("kept.example HOLD\n")
        server = Postfix(self.peers, self.folder / "postfix", "127.0.0.1", self.port, "mx.clinic.example",
                         certificate=certificate, key=key, relay_to=(SINK, self.mx),
                         relay_tls="encrypt" if sink_tls else "none", options=options)
        self.running.append(server)
        server.start()

    def sink(self, messages, tls):
        certificate = self.authority.issue("mx.sink.example") if tls else ()
        process = subprocess.Popen([BUILD / "bench/bench_sink", SINK, str(self.mx), str(messages), *map(str, certificate)],
                                   stdout=subprocess.PIPE, text=True)
        wait_for_port(SINK, self.mx, process=process)
        return process

    def load(self, sessions, messages, size, domain, tls):
        arguments = [BUILD / "bench/bench_load", "127.0.0.1", self.port, sessions, messages, size, "load@clinic.example",
                     domain, *(["tls", self.authority.certificate] if tls else [])]
        result = subprocess.run(list(map(str, arguments)), capture_output=True, text=True)
        if result.returncode != 0:
            raise RuntimeError(result.stderr)
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", result.stdout)}

    def close(self):
        for running in reversed(self.running):
            running.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def measure(server, case, peers, authority, options):
    """Messages a second."""
    domain, tls, to_the_end = CASES[case]
    stage = Stage(peers, authority)
    sink = None
    try:
        if to_the_end:
            sink = stage.sink(options.messages + options.sessions, tls)
        getattr(stage, server)(tls)
        # A warm-up that is not measured: processes started, caches filled.
        stage.load(options.sessions, options.sessions, options.size, domain, tls)
        time.sleep(1)
        times = stage.load(options.sessions, options.messages, options.size, domain, tls)
        end = times["end_ns"]
        if sink:
            end = int(re.search(r"last_ns=(\d+)", sink.stdout.readline()).group(1))
        return options.messages / ((end - times["start_ns"]) / 1e9)
    finally:
        if sink:
            sink.kill()
            sink.wait()
        stage.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=4000)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--only", choices=CASES, nargs="*", default=list(CASES))
    options = parser.parse_args()
    if os.getuid() != 0:
        raise SystemExit("make bench runs a Postfix beside Letterlock, which needs root.")
    subprocess.run(["ninja", "-C", BUILD, "bench/bench_load", "bench/bench_sink"], check=True, capture_output=True)
    peers = Peers(HOUSE / "build/peers")
    if not peers.unpack():
        raise SystemExit(f"Postfix cannot be fetched: {peers.problem}")
    folder = Path(tempfile.mkdtemp(prefix="letterlock-bench-", dir="/var/tmp"))
    folder.chmod(0o755)
    authority = Authority(folder / "certificates")
    rates = {(server, case): [] for server in ("letterlock", "postfix") for case in options.only}
    for number in range(options.rounds):
        runs = list(rates)
        random.shuffle(runs)
        for server, case in runs:
            rate = measure(server, case, peers, authority, options)
            rates[server, case].append(rate)
            print(f"round {number + 1}: {server:10} {case:28} {rate:8.0f}/s", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{options.size} bytes, {options.sessions} sessions, {options.messages} messages, {options.rounds} shuffled rounds\n")
    print("| case | Letterlock, messages/s | Postfix, messages/s | ratio (median of the rounds) |")
    print("|---|--:|--:|--:|")
    for case in options.only:
        ours, theirs = rates["letterlock", case], rates["postfix", case]
        ratio = statistics.median(a / b for a, b in zip(ours, theirs))
        print(f"| {case} | {statistics.median(ours):.0f} | {statistics.median(theirs):.0f} | {ratio:.1f} |")


if __name__ == "__main__":
    main()

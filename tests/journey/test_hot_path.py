# SPDX-License-Identifier: ISC
"""What a message costs on the hot path, counted in system calls under load from twenty sessions."""

import re
import shutil
import signal
import ssl
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from conftest import BUILD, HOUSE, wait_until
from lab.client import Client
from lab.processes import Server, wait_for_port
from loading import figures

MESSAGES, SESSIONS = 2000, 20
SINK = "127.0.1.1"
FLUSHES = ("fsync", "fdatasync", "sync_file_range", "msync", "syncfs", "sync")
FILES = ("open", "openat", "openat2", "creat", "memfd_create", "unlink", "unlinkat", "rename", "renameat", "renameat2",
         "ftruncate", "mmap")
PROCESSES = ("clone", "clone3", "fork", "vfork", "execve", "execveat")
KEEPER_FD = 8  # FD_KEEPER in src/daemon/role.h
SIGN_TLS = r"\x01\x00\x00\x00\x04\x00\x00\x00"  # version 1, KEEPER_OP_SIGN_TLS (src/keys/keeper_protocol.h)


class Tracer:
    """strace upon one role, until .stop(); the calls, as text."""

    def __init__(self, pid, output, calls):
        self.output = output
        self.process = subprocess.Popen(["strace", "-f", "-q", "-xx", "-s", "8", "-e", "trace=" + ",".join(calls),
                                         "-e", "signal=none", "-o", output, "-p", str(pid)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_until(lambda: self.process.poll() is not None or self._has_all(pid), "strace attaches")
        if self.process.poll() is not None:
            pytest.skip(f"no process may be traced here: {self.process.stderr.read().decode().strip()}")

    @staticmethod
    def _has_all(pid):
        try:
            statuses = [(task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
        except OSError:
            return False
        return all("TracerPid:\t0\n" not in status for status in statuses)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        self.process.stderr.close()
        return Path(self.output).read_text()


def counted(text):
    """{call: how often}, each once although strace tells of an interrupted one twice; and what went to the keeper."""
    calls, to_keeper = Counter(), 0
    for line in text.splitlines():
        match = re.match(r"\d+\s+(\w+)\((\d*)", line)
        if match:
            calls[match.group(1)] += 1
            to_keeper += match.group(1) in ("sendto", "sendmsg") and match.group(2) == str(KEEPER_FD)
    return calls, to_keeper


@pytest.fixture(scope="module")
def busy(shared_internet):
    """A gateway beside the sink of the benchmark, which is quick."""
    if not shutil.which("strace"):
        pytest.skip("there is no strace")
    for program in ("bench/bench_load", "bench/bench_sink"):
        if not (BUILD / program).exists():
            subprocess.run(["ninja", "-C", BUILD, program], check=True, capture_output=True)
    internet = shared_internet
    certificate, key = internet.authority.issue("mx.partner.example")
    internet.names.set("partner.example", "MX", "10 mx.partner.example.")
    internet.names.set("mx.partner.example", "A", SINK)
    sink = Server("sink", [BUILD / "bench/bench_sink", SINK, internet.ports["mx"], 10 ** 9, certificate, key],
                  internet.folder / "sink.log", cwd=HOUSE)
    wait_for_port(SINK, internet.ports["mx"], process=sink.process)
    internet.start('send "all" by { tls verify, return }')
    yield internet
    sink.stop()


def load(internet, messages, sessions=SESSIONS):
    """So many messages of 4 KiB by so many sessions at once, and all of them delivered."""
    before = figures(internet.gateway.command("status", check=True).stdout)["delivered"]
    subprocess.run([BUILD / "bench/bench_load", "127.0.0.1", str(internet.ports["relay"]), str(sessions),
                    str(messages), "4096", "nurse@clinic.example", "partner.example"], check=True, timeout=120,
                   capture_output=True)
    wait_until(lambda: figures(internet.gateway.command("status").stdout).get("delivered") == before + messages,
               "the load is delivered", 90)


def test_a_message_on_the_hot_path_costs_no_flush_file_process_or_keeper_call_of_its_own(busy, counts):
    load(busy, 300)  # threads, sessions and pairs of keys as they are in the middle of a day
    roles, texts = busy.gateway.roles(), {}
    own = FLUSHES + FILES + PROCESSES
    tracers = {role: Tracer(roles[role], busy.folder / f"{role}.calls", own + ("sendto", "sendmsg", "recvfrom"))
               for role in ("receive", "deliver", "keeper")}
    load(busy, MESSAGES)
    for role, tracer in tracers.items():
        texts[role] = tracer.stop()
    assert busy.gateway.roles() == roles
    calls = {role: counted(text) for role, text in texts.items()}
    flushes = {role: sum(calls[role][0][name] for name in FLUSHES) for role in calls}
    assert 0 < flushes["receive"] < MESSAGES / 2
    assert flushes["receive"] + flushes["deliver"] < MESSAGES, "delivered is noted in groups too"
    assert flushes["keeper"] < MESSAGES / 100
    for role in calls:
        for name in FILES + PROCESSES:
            assert calls[role][0][name] < MESSAGES / 10, f"{role}: {name}, {calls[role][0][name]} times"
    to_keeper = calls["receive"][1] + calls["deliver"][1]
    assert 0 < calls["receive"][1] and to_keeper < MESSAGES / 10
    counts(f"hot path, {MESSAGES} messages of 4 KiB from {SESSIONS} sessions: "
           f"{flushes['receive']} + {flushes['deliver']} flushes (receive + deliver), {to_keeper} keeper calls, "
           + ", ".join(f"{sum(calls[role][0][name] for role in calls for name in names)} {what}"
                       for names, what in ((FILES[:-2], "files opened or removed"), (("mmap",), "mappings"),
                                           (PROCESSES, "threads or processes"))))


def signatures(busy, do):
    """How many TLS signatures the keeper was asked for meanwhile."""
    tracer = Tracer(busy.gateway.roles()["keeper"], busy.folder / "keeper.calls", ("recvfrom",))
    do()
    return tracer.stop().count(SIGN_TLS)


def handshake(busy, version, session=None, context=None):
    """One SMTP session with TLS; the context and the TLS session, for another one."""
    if context is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
    with Client(busy.ports["smtp"]) as client:
        client.reply()
        client.ask("EHLO client.example")
        assert client.ask("STARTTLS").startswith("220")
        client.socket = context.wrap_socket(client.socket, server_hostname="mx.clinic.example", session=session)
        assert client.ask("EHLO client.example").startswith("250")
        assert client.socket.session_reused == (session is not None)
        session = client.socket.session
        client.ask("QUIT")
    return context, session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS 1.2", "TLS 1.3"])
def test_a_full_handshake_costs_one_signature(busy, version):
    assert signatures(busy, lambda: [handshake(busy, version) for _ in range(12)]) == 12


def test_a_handshake_that_is_resumed_costs_none(busy):
    context, session = handshake(busy, ssl.TLSVersion.TLSv1_3)
    resumed = [(context, session)]

    def resume():
        for _ in range(5):
            resumed.append(handshake(busy, None, resumed[-1][1], context))
    assert signatures(busy, resume) == 0
    assert len(resumed) == 6


def test_twenty_sessions_share_one_handshake_each_however_much_they_send(busy):
    """The sink is asked with TLS too: our own side signs nothing there."""
    roots = busy.authority.certificate
    before = figures(busy.gateway.command("status", check=True).stdout)["delivered"]

    def send():
        subprocess.run([BUILD / "bench/bench_load", "127.0.0.1", str(busy.ports["relay"]), "20", "200", "4096",
                        "nurse@clinic.example", "partner.example", "tls", roots], check=True, timeout=120,
                       capture_output=True)
        wait_until(lambda: figures(busy.gateway.command("status").stdout).get("delivered") == before + 200,
                   "all is delivered", 60)
    asked = signatures(busy, send)
    assert 0 < asked <= 20

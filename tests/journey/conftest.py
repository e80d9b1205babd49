# SPDX-License-Identifier: ISC
"""What the journeys share: the built daemon in a small internet of its own, on free loopback ports."""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOUSE))

from lab.certificates import Authority  # noqa: E402
from lab.client import Client  # noqa: E402
from lab.gateway import Gateway  # noqa: E402
from lab.peers import Peers  # noqa: E402
from lab.processes import free_port  # noqa: E402
from lab.scripted import ScriptedServer  # noqa: E402
from lab.scripted_names import ScriptedNames  # noqa: E402

BUILD = Path(os.environ.get("LETTERLOCK_BUILD", HOUSE / "build-check"))
CORPORA = Path(os.environ.get("LETTERLOCK_CORPORA", HOUSE / "../shared/testdata"))

POLICY = """\
hostname "mx.clinic.example"
domains "clinic.example"
administrator "postmaster@clinic.example"
state "{folder}/state"
certificate "{certificate}" key "{key}"
roots "{roots}"
resolver "127.0.0.1 port {dns}"
master key file "{master}"
largest message 10 MB
laboratory "127.0.0.0/8" port {mx}
listen smtp port {smtp} on "127.0.0.1"
listen submission port {submission} on "127.0.0.1" trusting certificate "lis.clinic.example"
listen submissions port {submissions} on "127.0.0.1" trusting certificate "lis.clinic.example"
listen relay port {relay} on "127.0.0.1" trusting network "127.0.0.0/8"
route "clinic.example" to lmtp "127.0.0.1 port {lmtp}"
{rules}
"""


def pytest_configure(config):
    config.addinivalue_line("markers", "long: too long for make check; make check-long has it")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("long") is not None)


@pytest.fixture(scope="session")
def folder():
    """One that the roles' own users can reach, and that is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="letterlock-journey-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    if not os.environ.get("LETTERLOCK_KEEP"):
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def authority(folder):
    return Authority(folder / "certificates")


@pytest.fixture(scope="session")
def peers():
    """Debian's mail servers, unpacked; the tests that need them are skipped where they cannot be had."""
    found = Peers(HOUSE / "build/peers")
    if not found.unpack():
        pytest.skip(f"Debian's mail servers cannot be fetched: {found.problem}")
    return found


@pytest.fixture
def counts(capsys):
    """Prints a line that the closing lines of `make check` repeat."""
    def tell(text):
        with capsys.disabled():
            print(f"\nCOUNTS {text}", flush=True)
    return tell


def wait_until(condition, what, seconds=30):
    """Polls until the condition gives something true; that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")


class Internet:
    """A scripted internet for one test: names, MX hosts on 127.0.1.N at one port, LMTP inside, the gateway."""

    def __init__(self, folder, authority):
        self.folder, self.authority = folder, authority
        self.names = ScriptedNames()
        self.ports = {name: free_port() for name in ("smtp", "submission", "submissions", "relay", "mx", "lmtp")}
        self.servers, self.gateway = [], None

    def mx(self, domain, address, host=None, preference=10, certificate="good", **options):
        """An MX host of the domain, scripted; `certificate`: "good", "self", None, or a pair."""
        host = host or f"mx.{domain}"
        self.names.set(domain, "MX", f"{preference} {host}.")
        self.names.set(host, "A", address)
        pair = certificate
        if certificate == "good":
            pair = self.authority.issue(host)
        elif certificate == "self":
            pair = self.authority.issue(host, self_signed=True)
        server = ScriptedServer(address, self.ports["mx"], *(pair or ()), **options).start()
        self.servers.append(server)
        return server

    def inside(self, **options):
        """The mailboxes behind our own domain."""
        server = ScriptedServer("127.0.0.1", self.ports["lmtp"], lmtp=True, **options).start()
        self.servers.append(server)
        return server

    def policy(self, rules, template=POLICY):
        certificate, key = self.authority.issue("mx.clinic.example")
        return template.format(folder=self.folder, certificate=certificate, key=key, dns=self.names.port,
                               roots=self.authority.certificate, rules=rules,
                               master=Gateway.make_master_key(self.folder / "master.key"), **self.ports)

    def start(self, rules, limits=None, template=POLICY, environment=None, **how):
        """`limits`: {"deliver.retry_first_ms": 200, …}; `how`: what else Gateway takes."""
        values = {"deliver.retry_first_ms": 300, "deliver.dead_host_ms": 500, **(limits or {})}
        environment = {"LETTERLOCK_TEST_LIMITS": ",".join(f"{name}={value}" for name, value in values.items()),
                       "LETTERLOCK_TEST_CLOCK": str(self.clock_file()), **(environment or {})}
        listens = [("127.0.0.1", self.ports[name]) for name in ("smtp", "submission", "submissions", "relay")]
        self.gateway = Gateway(BUILD, self.folder, self.policy(rules, template), listens, environment, **how)
        self.gateway.start()
        return self.gateway

    def clock_file(self):
        path = self.folder / "clock"
        if not path.exists():
            path.write_bytes(bytes(8))
            path.chmod(0o644)
        return path

    def move_clock(self, seconds):
        """Sets the wall clock of the gateway that far from the true one."""
        with open(self.clock_file(), "r+b") as file:
            file.write(int(seconds * 1000).to_bytes(8, "little", signed=True))

    def client(self, door="relay", **options):
        return Client(self.ports[door], **options)

    def send(self, sender, *recipients, text=b"Subject: x\r\n\r\nhello\r\n", door="relay"):
        """Hands one message in; its id."""
        with self.client(door) as client:
            client.hello(tls=door == "smtp")
            client.envelope(sender, *recipients)
            answer = client.data(text)
            assert answer.startswith("250"), answer
            client.ask("QUIT")
        return next(word for word in answer.replace(":", " ").split() if len(word) == 26)

    def trace(self, message):
        return self.gateway.command("trace", message, check=True).stdout

    def assert_steady(self, pids):
        """After whatever was tried: nobody died, commands are answered, the journal holds."""
        assert self.gateway.roles() == pids, f"a role died:\n{self.gateway.log()[-3000:]}"
        with self.client("smtp") as client:
            client.reply()
            assert client.ask("NOOP").startswith("250")
        self.gateway.command("audit", "verify", check=True)

    def stop(self):
        if self.gateway:
            self.gateway.stop()
        for server in self.servers:
            server.stop()
        self.names.stop()
        if self.gateway:  # where the daemon was built with sanitizers
            log = self.gateway.log()
            assert "Sanitizer" not in log and "runtime error:" not in log, log[-20000:]


def _internet(folder, authority, name):
    path = Path(tempfile.mkdtemp(prefix=name[:20].replace("/", "_") + "-", dir=folder))
    path.chmod(0o755)
    made = Internet(path, authority)
    yield made
    made.stop()


@pytest.fixture
def internet(folder, authority, request):
    yield from _internet(folder, authority, request.node.name)


@pytest.fixture(scope="module")
def shared_internet(folder, authority, request):
    """One for all tests of a file."""
    yield from _internet(folder, authority, request.module.__name__)

# SPDX-License-Identifier: ISC
"""What the tests of sending share: a gateway with many outside domains, each with peers of its own, and what
became of each letter."""

import json
import time

from conftest import wait_until
from lab.scripted import ScriptedServer

NURSE = "nurse@clinic.example"
# Short waits for peers that say nothing; the waits between attempts stay as they are, so that a test sees one.
LIMITS = {"deliver.connect_timeout_ms": 1500, "deliver.greeting_timeout_ms": 2000,
          "deliver.command_timeout_ms": 2000, "deliver.data_timeout_ms": 2500, "deliver.final_timeout_ms": 2500,
          "deliver.handshake_timeout_ms": 2000, "deliver.retry_first_ms": 60000, "deliver.dead_host_ms": 500}
SETTLED = ("delivered", "returned", "held", "deleted")
COMMANDS = (b"MAIL", b"RCPT", b"DATA", b"BDAT")


class Outside:
    """An internet with addresses to spare: peers on 127.0.2.1 and up."""

    def __init__(self, internet, first=1):
        self.internet, self.next = internet, first
        self.names = internet.names
        self.inside = internet.inside()
        self.sent = {}

    def start(self, rules, limits=None, **options):
        self.gateway = self.internet.start(rules, {**LIMITS, **(limits or {})}, **options)
        self.pids = self.gateway.roles()
        return self

    def address(self):
        number = self.next
        self.next += 1
        return f"127.0.{2 + number // 250}.{1 + number % 250}"

    def host(self, host, certificate="any", **options):
        """A mail host by this name, on an address of its own; `certificate`: "any" has one that fits no name,
        "good" fits this one, None offers no STARTTLS, else a pair."""
        address = self.address()
        self.names.set(host, "A", address)
        if certificate == "any":
            certificate = self.internet.authority.issue("any.invalid", self_signed=True)
        elif certificate == "good":
            certificate = self.internet.authority.issue(host)
        server = ScriptedServer(address, self.internet.ports["mx"], *(certificate or ()), **options).start()
        self.internet.servers.append(server)
        return server

    def domain(self, domain, certificate="any", **options):
        """A domain with one mail host, mx.DOMAIN."""
        server = self.host(f"mx.{domain}", certificate, **options)
        self.names.set(domain, "MX", f"10 mx.{domain}.")
        return server

    def send(self, *recipients, sender=NURSE, **options):
        """Hands a letter in; its id."""
        message = self.internet.send(sender, *recipients, **options)
        for recipient in recipients:
            self.sent[recipient] = message
        return message

    def deliveries(self, last=1000):
        """{recipient: the newest delivery} as `letterlock deliveries` has them."""
        text = self.gateway.command("deliveries", "--last", last, "--json", check=True).stdout
        return {delivery["recipient"]: delivery for delivery in json.loads(text)
                if self.sent.get(delivery["recipient"], delivery["message"]) == delivery["message"]}

    def settle(self, recipients, seconds=40):
        """Until each has had an attempt or its end; the deliveries."""
        def all_settled():
            found = self.deliveries()
            return found if all(
                who in found and (found[who]["state"] in SETTLED or found[who]["attempts"] > 0
                                  and "being delivered" not in found[who]["what"])
                for who in recipients) else None
        try:
            return wait_until_slowly(all_settled, seconds)
        except TimeoutError:
            found = self.deliveries()
            waiting = [f"{who}: {found.get(who)}" for who in recipients
                       if who not in found or found[who]["state"] not in SETTLED and not found[who]["attempts"]]
            raise AssertionError("still without an attempt:\n" + "\n".join(waiting[:20])) from None

    def until(self, recipient, state, seconds=30, attempts=0, says=""):
        """The delivery, once it is in that state with that many attempts."""
        def reached():
            found = self.deliveries(20).get(recipient) or self.deliveries().get(recipient)
            return found if found and found["state"] == state and found["attempts"] >= attempts and \
                says in found["what"] else None
        try:
            return wait_until(reached, f"{recipient} is {state}", seconds)
        except AssertionError as problem:
            raise AssertionError(f"{problem}: {self.deliveries().get(recipient)}\n"
                                 f"{self.internet.trace(self.sent[recipient])}") from None

    def reports(self, message=None):
        """The texts of the reports that came to our own mailboxes, on this message."""
        found = [m for m in list(self.inside.messages) if m.sender == ""]
        return [m.data.decode("latin-1") for m in found
                if message is None or f"X-Letterlock-Message: {message}".encode() in m.data]

    def report(self, message, seconds=20):
        """The one report on the message."""
        wait_until(lambda: self.reports(message), f"a report on {message}", seconds)
        found = self.reports(message)
        assert len(found) == 1
        return found[0]

    def database(self):
        """The store's own file."""
        return next(path for path in self.gateway.state.rglob("*")
                    if path.is_file() and path.read_bytes()[:15] == b"SQLite format 3")

    def forward(self, seconds):
        """The clock of the gateway moves that far, and its queue is looked at."""
        self.moved = getattr(self, "moved", 0) + seconds
        self.internet.move_clock(self.moved)
        self.look()

    def look(self):
        """Something new wakes the queue's runner."""
        self.internet.send(NURSE, NURSE, text=b"Subject: awake\r\n\r\n.\r\n")

    def steady(self):
        self.internet.assert_steady(self.gateway.roles())

    def assert_nothing_in_clear(self, permitted=()):
        """No peer, of whatever kind, was told of a letter outside TLS."""
        for server in self.internet.servers:
            if server is self.inside or server in permitted:
                continue
            for session in server.sessions:
                assert_no_command(session)


def assert_no_command(session):
    lines = bytes(session.clear).upper().split(b"\r\n")
    assert not [line for line in lines if line.lstrip().startswith(COMMANDS)], bytes(session.clear)


def wait_until_slowly(condition, seconds):
    """As wait_until(), for what costs something to ask."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.3)
    raise TimeoutError


def under_tls(answer):
    """Only what is said within TLS is answered so."""
    return lambda server, session, line: answer if session.tls else None


def in_clear(answer):
    return lambda server, session, line: None if session.tls else answer


def flood(piece, bytes_max=10 << 20):
    """Sends that again and again, as much as the other side takes, then closes."""
    def run(server, session, line):
        for _ in range(bytes_max // len(piece)):
            session.connection.sendall(piece)
        return "CLOSE"
    return run


def fields_of(report):
    """The recipients' groups of a report's part for programs: a list of {name: value}."""
    part = report.split("message/delivery-status", 1)[1].split("\r\n\r\n", 1)[1].split("\r\n--", 1)[0]
    groups = []
    for block in part.replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n\r\n"):
        lines = [line.split(": ", 1) for line in block.split("\r\n") if line]
        groups.append({name.lower(): value for name, value in lines})
    return groups

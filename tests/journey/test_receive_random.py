# SPDX-License-Identifier: ISC
"""Sessions that a generator of nonsense made up: whatever is said, in whatever pieces, nobody dies, replies are
replies, and what arrives inside is what was taken."""

import os
import random
import re
import ssl

import pytest
from receiving import Clinic, body_of, everything

SESSIONS = int(os.environ.get("LETTERLOCK_RANDOM_SESSIONS", "200"))
SEED = int(os.environ.get("LETTERLOCK_RANDOM_SEED", "7"))
REPLY = re.compile(r"[2345]\d\d[ -][ -~]*")


@pytest.fixture(scope="module")
def clinic(shared_internet, authority):
    made = Clinic(shared_internet, {"receive.data_timeout_ms": 150, "receive.command_timeout_ms": 150,
                                    "receive.handshake_timeout_ms": 500})
    made.machine = authority.issue("lis.clinic.example")
    yield made
    made.steady()


class Nonsense:
    """One session's worth of octets, from a grammar that is mostly SMTP."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def octets(self, most):
        return bytes(self.random.randrange(256) for _ in range(self.random.randrange(most)))

    def pick(self, *choices):
        return self.random.choice(choices)

    def end(self):
        return self.pick(*[b"\r\n"] * 30, b"\n", b"\r", b"\r\r\n", b"\0\r\n", b" \r\n", b"")

    def address(self):
        local = self.pick(b"nurse", b"postmaster", b'"a b"', b"x" * 80, b'"\\"', b"a.b", b".", b"", b"\xff", b"@a:b",
                          b"nurse%x")
        domain = self.pick(b"clinic.example", b"partner.example", b"CLINIC.EXAMPLE.", b"[127.0.0.1]", b"x", b"a..b",
                           b"", b"\xe9")
        return self.pick(b"<" + local + b"@" + domain + b">", b"<>", b"<" + local + b">",
                         b" <" + local + b"@" + domain + b">",
                         b"<" + local + b"@" + domain, b"<nurse@clinic.example>", b"<nurse@clinic.example>")

    def parameters(self):
        return self.pick(b"", b"", b"", b" SIZE=%d" % self.random.randrange(10 ** self.random.randrange(1, 24)),
                         b" BODY=8BITMIME",
                         b" X=y", b" AUTH=<>", b" SIZE", b" " + self.octets(20), b"SIZE=1", b" BODY=7BIT SIZE=3 SIZE=4")

    def text(self):
        lines = [self.pick(b"Subject: x", b"", b".", b"..", b".x", b"Received: by mx.clinic.example;",
                           b"x" * self.random.randrange(3000),
                           b" folded",
                           self.octets(30).replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")) for _ in
                 range(self.random.randrange(8))]
        text = b"".join(line + self.pick(*[b"\r\n"] * 40, b"\n", b"\r", b"\0\r\n") for line in lines)
        return text

    def chunk(self):
        text = self.text()
        size = self.pick(*[b"%d" % len(text)] * 8, b"%d" % (len(text) + 1), b"%d" % max(0, len(text) - 1), b"-1", b"",
                         b"x", b"99999999999")
        return b"BDAT " + size + self.pick(b"", b"", b" LAST", b" LAST", b" FIRST") + self.end() + text

    def command(self):
        sender = self.pick(b"<a@partner.example>", b"<nurse@clinic.example>", b"<>", self.address())
        return self.pick(
            b"EHLO a" + self.end(), b"HELO " + self.octets(9) + self.end(),
            b"MAIL FROM:" + sender + self.parameters() + self.end(),
            b"MAIL FROM:" + sender + self.end(), b"RCPT TO:" + self.address() + self.end(),
            b"RCPT TO:<nurse@clinic.example>" + self.parameters() + self.end(), b"RCPT TO:<nurse@clinic.example>\r\n",
            b"DATA\r\n" + self.text() + self.pick(b"\r\n.\r\n", b".\r\n", b"\r\n.\r\n", b"\n.\n"), self.chunk(),
            self.chunk(), b"RSET" + self.end(),
            b"NOOP" + self.end(), b"VRFY x" + self.end(), b"HELP" + self.end(),
            b"AUTH PLAIN " + self.octets(9) + self.end(),
            self.octets(60) + self.end(), b"x" * self.random.randrange(9000) + self.end(),
            b"STARTTLS" + self.pick(b"", b" x") + b"\r\n",
            self.text())

    def session(self):
        start = self.pick(b"EHLO a\r\n", b"EHLO a\r\n", b"HELO a\r\n", b"")
        if self.random.random() < 0.8:
            start += b"MAIL FROM:" + self.pick(b"<a@partner.example>",
                                               b"<nurse@clinic.example>") + b"\r\nRCPT TO:<nurse@clinic.example>\r\n"
        if self.random.random() < 0.3:
            start += self.pick(b"DATA\r\nSubject: x\r\n\r\n..\r\n.\r\n", b"BDAT 4\r\na\r\n.BDAT 2 LAST\r\n\r\n")
        return start + b"".join(self.command() for _ in range(self.random.randrange(1, 12)))

    def pieces(self, data):
        while data:
            size = self.pick(len(data), len(data), 1, 2, 1 + self.random.randrange(100),
                             1 + self.random.randrange(5000))
            yield data[:size]
            data = data[size:]


def play(clinic, seed):
    """One session; its reply lines."""
    nonsense = Nonsense(seed)
    door = nonsense.pick("smtp", "smtp", "relay", "submission", "submissions")
    options = {"tls_at_once": nonsense.pick((), clinic.machine)} if door == "submissions" else {}
    data = nonsense.session()
    with clinic.internet.client(door, **options) as client:
        if door == "smtp" and nonsense.random.random() < 0.3:
            client.hello(tls=True)
        try:
            for piece in nonsense.pieces(data):
                client.send(piece)
            if nonsense.random.random() < 0.8:
                client.send(b"QUIT\r\n" if nonsense.random.random() < 0.5 else b"\r\n.\r\nQUIT\r\n")
        except (ConnectionError, ssl.SSLError):
            pass
        if nonsense.random.random() < 0.2:
            return []  # and gone, with all unread
        return everything(client, 30)


def test_nonsense_gets_replies_and_harms_nobody(clinic):
    taken = 0
    for seed in range(SEED * 1000000, SEED * 1000000 + SESSIONS):
        try:
            lines = play(clinic, seed)
        except TimeoutError:
            raise AssertionError(f"session {seed}: no end") from None
        for line in lines:
            if line.startswith("\x15\x03"):
                break  # the alert that ends a handshake with nonsense
            assert REPLY.fullmatch(line), (seed, line)
        taken += sum(line.startswith("250 2.0.0 Ok") for line in lines)
        if seed % 50 == 49:
            clinic.steady()
    assert taken > SESSIONS / 20
    clinic.settle()
    for message in clinic.inside.messages:
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", body_of(message))

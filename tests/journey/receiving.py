# SPDX-License-Identifier: ISC
"""What the tests of receiving share: one clinic with three ways out, and clients that misbehave octet by octet."""

import os
import re
import socket
import ssl
import time

from conftest import POLICY, wait_until

# Our own mailboxes by name, so that there are others that do not exist.
STAFF = POLICY.replace('route "clinic.example"',
                       'list staff {{ "nurse@clinic.example", "postmaster@clinic.example" }}\nroute staff')
RULES = 'send "all" by { tls encrypt, return }'
LETTER = b"Subject: x\r\n\r\nhello\r\n"
RECEIVED = re.compile(rb"\AReceived: [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*")


class Clinic:
    """partner.example takes DATA only, third.example takes chunks, our own mailboxes speak LMTP."""

    def __init__(self, internet, limits=None, template=STAFF, rules=RULES, **how):
        self.internet = internet
        plain = ("PIPELINING", "8BITMIME", "SIZE 60000000", "ENHANCEDSTATUSCODES")
        self.data = internet.mx("partner.example", "127.0.1.1", extensions=plain)
        self.chunks = internet.mx("third.example", "127.0.1.2")
        self.inside = internet.inside()
        self.gateway = internet.start(rules, limits, template, **how)
        self.pids = self.gateway.roles()
        assert set(self.pids) == {"receive", "deliver", "keeper", "control"}

    def steady(self):
        self.internet.assert_steady(self.pids)

    def say(self, door="smtp", hello=True, **options):
        """A client that is greeted; has said EHLO where `hello`."""
        client = self.internet.client(door, **options)
        if hello:
            client.hello()
        else:
            client.reply()
        return client

    def received(self, server, subject, seconds=20):
        """The message whose text has this, once it has come."""
        return wait_until(lambda: next((m for m in list(server.messages) if subject in m.data), None),
                          f"a message with {subject!r}", seconds)

    def mailbox_is_empty_of(self, text):
        """No peer of any kind has been given this text. What was accepted before is there already: a marker goes
        through first."""
        self.settle()
        return not any(text in message.data for server in (self.data, self.chunks, self.inside)
                       for message in list(server.messages))

    def settle(self):
        """Until what was accepted so far has been delivered: a later letter to each peer has arrived."""
        marker = b"marker-%d" % time.monotonic_ns()
        self.internet.send("nurse@clinic.example", "m@partner.example", "m@third.example", "nurse@clinic.example",
                           text=b"Subject: " + marker + b"\r\n\r\nm\r\n")
        for server in (self.data, self.chunks, self.inside):
            self.received(server, marker)

    def memory(self):
        """KiB that the receiving role holds. A sanitizer keeps what was given back: then nothing is to be learnt."""
        program = (self.gateway.build / "src/daemon/letterlockd").read_bytes()
        if b"__asan_init" in program or b"__tsan_init" in program:
            return 0
        text = open(f"/proc/{self.pids['receive']}/status").read()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))

    def descriptors(self):
        """How many the receiving role has open; 0 where no process may look into another."""
        try:
            return len(os.listdir(f"/proc/{self.pids['receive']}/fd"))
        except PermissionError:
            return 0

    def events(self):
        """How many the journal has."""
        text = self.gateway.command("audit", "verify", check=True).stdout
        return int(re.search(r"Events\s+(\d+)", text).group(1))


def body_of(message):
    """Without our Received field on top."""
    return RECEIVED.sub(b"", message.data, count=1)


def everything(client, seconds=20):
    """All replies until the server closes, as lines."""
    client.socket.settimeout(seconds)
    try:
        while data := client.socket.recv(65536):
            client.buffer += data
    except (ConnectionError, ssl.SSLError):
        pass
    text, client.buffer = client.buffer, b""
    return text.decode("latin-1").split("\r\n")[:-1]


def is_silent(client, seconds=0.3):
    """Nothing more is said for a moment."""
    client.socket.settimeout(seconds)
    try:
        data = client.socket.recv(65536)
    except TimeoutError:
        return not client.buffer
    finally:
        client.socket.settimeout(30)
    client.buffer += data
    return not client.buffer


def send_all(client, data):
    """Sends, whatever the server does meanwhile. False when it closed before the end."""
    try:
        client.send(data)
        return True
    except (ConnectionError, TimeoutError, ssl.SSLError):
        return False


def send_singly(client, data):
    """Every octet in a segment of its own."""
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for octet in data:
        if not send_all(client, bytes([octet])):
            return


class HandTls:
    """TLS over a socket with the records in our own hands."""

    def __init__(self, client, certificate=None, context=None, name="mx.clinic.example"):
        if context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(*certificate)
        self.socket = client.socket
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        self.buffer = b""

    def hello(self):
        """The ClientHello, not sent."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def _step(self, function, *arguments):
        while True:
            try:
                result = function(*arguments)
                self.socket.sendall(self.outgoing.read())
                return result
            except ssl.SSLWantReadError:
                self.socket.sendall(self.outgoing.read())
                data = self.socket.recv(65536)
                if not data:
                    raise EOFError("closed by the server") from None
                self.incoming.write(data)

    def handshake(self):
        self._step(self.tls.do_handshake)
        return self

    def send(self, data):
        self._step(self.tls.write, data if isinstance(data, bytes) else data.encode())

    def ask(self, line):
        self.send(line + "\r\n")
        return self.reply()

    def reply(self):
        while not re.search(rb"(?m)^\d{3}( .*)?\r\n", self.buffer):
            self.buffer += self._step(self.tls.read, 65536)
        text, self.buffer = self.buffer, b""
        return text.decode()

    def close_notify(self):
        """The record that ends our half, not waiting for the other."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.socket.sendall(self.outgoing.read())

# SPDX-License-Identifier: ISC
"""Load that remembers: senders that write down each 250, a sink that writes down each message, and the journal."""

import re
import sqlite3
import threading
import time
from collections import defaultdict

from lab.client import Client

ID = re.compile(rb"\bid ([0-9a-z]{26})\b")
MARKER = re.compile(rb"^Subject: (\S+)", re.M)
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
ACCEPTED, DELIVERED, DEFERRED = 10, 21, 22
PAUSE_SECONDS = 0.008
BODY = b"x" * 70 + b"\r\n"


class Arrivals(list):
    """In place of a scripted server's list of messages: when each came, by the wall clock."""

    def append(self, message):
        message.at = time.time()
        super().append(message)


class Senders:
    """Threads that send one message after the other, each with a marker of its own in its subject, and connect
    again whatever happens. What got its 250 stands in .acknowledged: {marker: id}."""

    def __init__(self, port, phase, count=4, recipient="r@partner.example", size=1000):
        self.port, self.phase, self.recipient = port, phase, recipient
        self.body = BODY * max(1, size // len(BODY))
        self.acknowledged, self.refused, self.unanswered = {}, 0, set()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a sender hangs"

    def _run(self, number):
        sequence = 0
        while not self._stopping.is_set():
            try:
                with Client(self.port, timeout=20) as client:
                    client.hello()
                    while not self._stopping.is_set():
                        sequence += 1
                        time.sleep(PAUSE_SECONDS)  # else the queue grows, since the sink here is the slowest of all
                        self._send(client, f"{self.phase}-{number}-{sequence}")
            except (OSError, EOFError, AssertionError):
                time.sleep(0.02)

    def _send(self, client, marker):
        client.send(f"MAIL FROM:<nurse@clinic.example>\r\nRCPT TO:<{self.recipient}>\r\nDATA\r\n")
        answers = [client.reply() for _ in range(3)]
        if not answers[2].startswith("354"):
            self.refused += 1
            time.sleep(0.02)
            return
        self.unanswered.add(marker)
        client.send(f"From: nurse@clinic.example\r\nSubject: {marker}\r\n\r\n".encode() + self.body + b".\r\n")
        answer = client.reply()
        self.unanswered.discard(marker)
        if answer.startswith("250"):
            self.acknowledged[marker] = next(word for word in answer.split() if len(word) == 26)
        else:
            self.refused += 1


def name_of(blob):
    """A message's id as people write it."""
    number = int.from_bytes(blob, "big")
    return "".join(ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


class Journal:
    """What the journal's rows say, read from the store itself."""

    def __init__(self, state):
        self.events = defaultdict(list)
        database = sqlite3.connect(f"file:{state}/store/{store_file(state)}?mode=ro", uri=True, timeout=30)
        with database:
            for message, kind, at in database.execute(
                    "SELECT message, kind, at FROM event WHERE message IS NOT NULL ORDER BY sequence"):
                self.events[name_of(message)].append((kind, at / 1000))
        database.close()

    def of(self, message, kind):
        """When that happened to it, in seconds since 1970."""
        return [at for what, at in self.events.get(message, ()) if what == kind]


def store_file(state):
    return next(path.name for path in (state / "store").iterdir() if path.read_bytes()[:6] == b"SQLite")


def figures(status):
    """{"waiting": 0, …} of `letterlock status`."""
    return {word: int(number) for number, word in re.findall(
        r"(\d+) (waiting|held|delivered|returned|deleted|dropped|messages)\b", status)}

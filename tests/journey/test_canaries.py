# SPDX-License-Identifier: ISC
"""Nothing readable touches disk or wire: letters full of words that stand nowhere else go through every stage
that a letter can be in, and the words are looked for, in every form, in all that the gateway leaves behind."""

import base64
import contextlib
import os
import quopri
import secrets
import stat
import tempfile
from pathlib import Path

import pytest

from conftest import Internet, wait_until
from lab.client import Client
from lab.processes import free_port
from lab.proxy import RecordingProxy
from lab.scripted import ScriptedServer

RULES = """\
refuse "not to these"   when to "refused.example"
refuse "not this subject" when subject has "no letter has this"
hold   "looked at first" when to "held.example"
send   "everything else" by { tls verify, return }
"""
STAGES = ("still arriving", "accepted and held", "waiting after a deferral", "delivered", "returned with a report",
          "refused", "looked at by an administrator", "after a reload", "after all was killed", "started again",
          "released and retried", "deleted", "stopped")
PLACES = ("subject", "body", "sender", "recipient", "file", "display", "reply")


def make_word(place):
    letters = "abcdefghijklmnopqrstuvwxyz"
    return f"canary-{place}-" + "".join(secrets.choice(letters) for _ in range(16))


def forms(word):
    """The ways in which mail, logs, journals or databases may write a word, cut so that each stands whole."""
    data = word.encode()
    found = {"as it is": data, "in UTF-16": word.encode("utf-16-le"), "in UTF-16, big end": word.encode("utf-16-be"),
             "in hex": data.hex().encode(), "in HEX": data.hex().upper().encode(), "backwards": data[::-1],
             "with encoded hyphens": data.replace(b"-", b"=2D"), "with percent signs": data.replace(b"-", b"%2D"),
             "without hyphens": data.replace(b"-", b""), "in capitals": data.upper()}
    for offset in range(3):
        # What the three octets at either end become depends on their neighbours: only what is between them counts.
        text = base64.b64encode(bytes(offset) + data)
        found[f"in base64, {offset} octets into a group"] = text[4 if offset else 0:len(text) - 4]
    return found


class Words:
    """One word for each place of a letter, and the search for all of them."""

    def __init__(self):
        self.words = {place: make_word(place) for place in PLACES}
        self._needles = {needle: f"the {place}, {form}" for place, word in self.words.items()
                         for form, needle in forms(word).items()}

    def __getitem__(self, place):
        return self.words[place]

    def found_in(self, data, places=PLACES):
        """What stands there, as texts. Soft and hard line ends hide nothing."""
        data = bytes(data)
        hay = data + b"\0" + data.replace(b"=\r\n", b"").replace(b"=\n", b"").translate(None, b"\r\n")
        return sorted(what for needle, what in self._needles.items()
                      if what.split(",")[0].removeprefix("the ") in places and needle in hay)


def letters(words):
    """The same words in the ways that mail programs write them, and once so often that no chunk is without."""
    subject, body, file, display = (words[place] for place in ("subject", "body", "file", "display"))
    word64 = base64.b64encode(f"Überweisung {subject}".encode()).decode()
    plain = (f"From: \"{display}\" <{words['sender']}@clinic.example>\nTo: x@partner.example\nSubject: {subject}\n"
             f"\nDear patient, {body}\n")
    encoded = (f"From: =?utf-8?Q?{display.replace('-', '=2D')}?= <{words['sender']}@clinic.example>\n"
               f"Subject: =?utf-8?B?{word64}?=\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"
               "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
               f"{quopri.encodestring(f'Ärger: {body} '.encode() * 9).decode()}\n--b\n"
               f"Content-Type: text/plain; name*=utf-8''{file.replace('-', '%2D')}.txt\n"
               f"Content-Disposition: attachment; filename=\"{file}.txt\"\nContent-Transfer-Encoding: base64\n\n"
               f"{base64.encodebytes(f'x{body} '.encode() * 40).decode()}--b--\n")
    large = plain + f"{body} {file} {subject} {display}\n" * 1500
    return [text.replace("\n", "\r\n").encode() for text in (plain, encoded, large)]


class Watch:
    """Looks for the words, at each stage, in all that is on the disk and all that went over the wire."""

    def __init__(self, words, internet, proxies):
        self.words, self.internet, self.proxies = words, internet, proxies
        self.findings, self.looked_at = {}, {}

    def look(self, stage):
        found, names, seen = [], set(), set()
        for path in self.files():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(path, "rb") as file:
                status = os.fstat(file.fileno())
                if stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    names.add(path.name)
                    found += [f"{path.name}: {what}" for what in self.words.found_in(file.read())]
        for name, proxy in self.proxies.items():
            found += [f"the wire, {name}: {what}" for what in self.words.found_in(proxy.recorded)]
        self.findings[stage], self.looked_at[stage] = found, names

    def files(self):
        """All below the test's own folder, then what the processes have open, even where its name is gone."""
        files = [path for path in sorted(self.internet.folder.rglob("*")) if path.is_file()]
        process = self.internet.gateway.process
        if process.poll() is None:
            for pid in (process.pid, *self.internet.gateway.roles().values()):
                files += self.open_files(pid)
        return files

    @staticmethod
    def open_files(pid):
        """But for sockets and the like, and memory files, which are no disk. Nothing where no process may look
        into another (a container without the right to trace): then the folder alone is searched."""
        found = []
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            for number in os.listdir(f"/proc/{pid}/fd"):
                link = f"/proc/{pid}/fd/{number}"
                if os.readlink(link).startswith("/") and not os.readlink(link).startswith(("/memfd:", "/dev/")):
                    found.append(Path(link))
        return found


class Story:
    """Letters through all the stages."""

    def __init__(self, folder, authority):
        path = Path(tempfile.mkdtemp(prefix="canaries-", dir=folder))
        path.chmod(0o755)
        self.internet = Internet(path, authority)
        self.words = Words()
        self.proxies = {}
        self.machine = authority.issue("lis.clinic.example")
        words = self.words
        everything = " ".join(words[place] for place in PLACES)
        self.partner = self.mx("partner.example", "127.0.1.1")
        self.later = self.mx("later.example", "127.0.1.2", {"END": f"451 4.7.1 not now, you said {everything}"})
        self.never = self.mx("never.example", "127.0.1.3",
                             {"RCPT": f"550 5.1.1 <{words['recipient']}@never.example> unknown {words['reply']}"})
        self.inside = self.internet.inside()
        self.watch = Watch(self.words, self.internet, self.proxies)

    def mx(self, domain, address, answers=None):
        """A scripted host behind a proxy that records what goes over the wire."""
        internet = self.internet
        server = ScriptedServer(address, free_port(), *internet.authority.issue(f"mx.{domain}"),
                                answers=answers).start()
        internet.servers.append(server)
        internet.names.set(domain, "MX", f"10 mx.{domain}.")
        internet.names.set(f"mx.{domain}", "A", address)
        self.proxies[f"to {domain}"] = RecordingProxy(address, internet.ports["mx"], address, server.port).start()
        return server

    def start(self):
        self.internet.start(RULES, limits={"deliver.retry_first_ms": 600000}, arguments=["-v"])
        for door in ("submission", "submissions", "smtp"):
            self.proxies[f"in by {door}"] = RecordingProxy("127.0.0.1", 0, "127.0.0.1",
                                                           self.internet.ports[door]).start()

    def submit(self, domain, text, door="submission", expect="250"):
        """Over the recording proxy of the door; the message's id. The EHLO name is no secret."""
        words = self.words
        tls_at_once = self.machine if door == "submissions" else None
        with Client(self.proxies[f"in by {door}"].port, tls_at_once=tls_at_once) as client:
            client.hello(certificate=self.machine if door == "submission" else None, tls=door == "smtp")
            client.ask(f"MAIL FROM:<{words['sender']}@{'partner' if door == 'smtp' else 'clinic'}.example>")
            answer = client.ask(f"RCPT TO:<{words['recipient']}@{domain}>")
            if answer.startswith("250"):
                answer = client.data(text)
            assert answer.startswith(expect), answer
            client.ask("QUIT")
        return next((word for word in answer.replace(":", " ").split() if len(word) == 26), None)

    def begin(self, domain, text):
        """Hands a letter in but for its end; the client."""
        client = Client(self.proxies["in by submission"].port)
        client.hello(certificate=self.machine)
        client.envelope(f"{self.words['sender']}@clinic.example", f"{self.words['recipient']}@{domain}")
        assert client.ask("DATA").startswith("354")
        client.send(text)
        return client

    def submit_all(self, domain, **options):
        doors = ("submission", "submissions", "submission")
        return [self.submit(domain, text, door, **options) for text, door in zip(letters(self.words), doors)]

    def run(self):
        internet, watch = self.internet, self.watch
        self.start()
        arriving = self.begin("held.example", letters(self.words)[2])
        watch.look("still arriving")
        assert arriving.ask(".").startswith("250")
        held = self.submit_all("held.example")
        watch.look("accepted and held")
        later = self.submit_all("later.example")
        wait_until(lambda: all("451" in internet.trace(message) for message in later), "the deferrals")
        watch.look("waiting after a deferral")
        self.submit_all("partner.example")
        self.submit("clinic.example", letters(self.words)[1], "smtp")
        self.partner.wait_for(3)
        self.inside.wait_for(1)
        watch.look("delivered")
        self.submit_all("never.example")
        self.reports = self.inside.wait_for(1 + 3)[1:]
        watch.look("returned with a report")
        self.submit_all("refused.example", expect="5")
        watch.look("refused")
        self.traces = {message: internet.trace(message) for message in held + later}
        self.later_ids = later
        internet.gateway.command("queue", check=True)
        internet.gateway.command("audit", "verify", check=True)
        watch.look("looked at by an administrator")
        internet.gateway.reload()
        internet.gateway.wait_for_control()
        watch.look("after a reload")
        internet.gateway.kill()
        watch.look("after all was killed")
        internet.gateway.start()
        watch.look("started again")
        self.later.answers.clear()
        for message in held[:1] + later:
            internet.gateway.command("queue", "release" if message in held else "retry", message, check=True)
        self.later.wait_for(3)
        watch.look("released and retried")
        for message in held[1:]:
            internet.gateway.command("queue", "delete", message, check=True)
        watch.look("deleted")
        internet.gateway.stop()
        watch.look("stopped")
        return self

    def stop(self):
        for proxy in self.proxies.values():
            proxy.stop()
        self.internet.stop()


@pytest.fixture(scope="module")
def story(folder, authority):
    told = Story(folder, authority)
    try:
        yield told.run()
    finally:
        told.stop()


def test_the_search_finds_a_word_in_every_form_that_mail_gives_it():
    words = Words()
    for place, word in words.words.items():
        for before in ("", "a", "ab", "abc"):
            for data in (base64.encodebytes(f"{before} {word} after it".encode()), f"{before}{word}".encode(),
                         quopri.encodestring(f"ü{'-' * 60}{before}{word}".encode()), word.encode("utf-16-le"),
                         word.replace("-", "=2D").encode(), f"{word[:9]}\r\n{word[9:]}".encode()):
                assert [what for what in words.found_in(data) if what.startswith(f"the {place},")], data
    assert not words.found_in(b"canary " * 50)


@pytest.mark.parametrize("stage", STAGES)
def test_no_word_of_a_letter_is_readable_on_disk_or_wire_when_it_is(story, stage):
    assert story.watch.findings[stage] == []


def test_the_search_saw_log_database_and_keeper_and_each_hop_was_tls(story):
    seen = story.watch.looked_at["delivered"]
    assert {"letterlockd.log", "store.sqlite", "store.sqlite-wal", "store.sqlite-shm", "keys"} <= seen
    for name, proxy in story.proxies.items():
        assert proxy.connections > 0 and len(proxy.recorded) > 2000, name
        assert b"STARTTLS\r\n" in proxy.recorded or name == "in by submissions", name


def test_the_words_did_travel_and_were_delivered(story):
    arrived = b"".join(message.data for message in story.partner.messages)
    found = " ".join(story.words.found_in(arrived))
    assert all(f"the {place}," in found for place in ("subject", "body", "file", "display")), found
    assert "base64" in found and "encoded hyphens" in found and "percent signs" in found


def test_an_administrator_may_read_what_the_peer_replied(story):
    for message, trace in story.traces.items():
        assert story.words["recipient"] in trace, message
    assert story.words["reply"] in story.traces[story.later_ids[0]]


def test_a_report_holds_nothing_of_the_letter_but_whom_it_did_not_reach_and_why(story):
    for report in story.reports:
        assert story.words["recipient"].encode() in report.data and story.words["reply"].encode() in report.data
        assert story.words.found_in(report.data, ("subject", "body", "file", "display")) == []

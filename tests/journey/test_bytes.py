# SPDX-License-Identifier: ISC
"""Bytes pass whole or are refused: letters of all kinds go in by each door and each way, and what comes out
is what went in below our Received field, but for the closed list of edits."""

import hashlib
import re
import tempfile
from pathlib import Path

import pytest

from conftest import CORPORA, Internet, wait_until
from letters import (HEAD, PUBLIC_SETS, below_received, fields_of, flaw, header_end, name_of, own_letters,
                     public_letters, take_received, unsound_letters)

RULES = 'send "everything" by { tls encrypt, return }'
STEP = 5  # make check sends every fifth letter of a public set through the real servers
NURSE, CHUNKED, DOTTED, WARD = ("okello@clinic.example", "marquez@partner.example", "records@third.example",
                                "ward3@clinic.example")
EXTENSIONS = ("PIPELINING", "8BITMIME", "SIZE 60000000", "ENHANCEDSTATUSCODES")


def digest(data):
    return hashlib.sha256(data).hexdigest()


def id_in(answer):
    return next(word for word in answer.replace(":", " ").split() if len(word) == 26).encode()


def with_line_end(text):
    """What DATA makes of a text: it cannot say that the last line has no end."""
    return text if text.endswith(b"\r\n") or not text else text + b"\r\n"


def make_internet(folder, authority, name):
    path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder))
    path.chmod(0o755)
    return Internet(path, authority)


@pytest.fixture(scope="module")
def office(folder, authority):
    """A gateway whose peers are scripted: one takes chunks, one wants dots, one has our mailboxes by LMTP."""
    internet = make_internet(folder, authority, "bytes")
    internet.chunked = internet.mx("partner.example", "127.0.1.1", extensions=(*EXTENSIONS, "CHUNKING"))
    internet.dotted = internet.mx("third.example", "127.0.1.2", extensions=EXTENSIONS)
    internet.mailboxes = internet.inside(extensions=EXTENSIONS)
    internet.start(RULES)
    yield internet
    internet.stop()


class Comparison:
    """Hands letters in for all three peers, then tells what arrived otherwise than it should."""

    def __init__(self, internet):
        self.internet = internet
        self.servers = {"by chunks": internet.chunked, "with dots": internet.dotted, "inside": internet.mailboxes}
        self.before = {way: len(server.messages) for way, server in self.servers.items()}
        self.sent, self.problems, self.refused = {}, [], 0
        self.client = None

    def hand_in(self, name, text, chunk=None):
        """By DATA, or by BDAT where a chunk's size is given."""
        if not self.client:
            self.client = self.internet.client("relay")
            self.client.hello()
        text = text if chunk else with_line_end(text)
        self.client.envelope(NURSE, CHUNKED, DOTTED, WARD, parameters=" BODY=8BITMIME")
        answer = self.client.chunks(text, chunk) if chunk else self.client.data(text)
        wanted = flaw(text)
        if wanted:
            self.refused += 1
            self.client.close()
            self.client = None
        if not re.match(f"55[0-9] {re.escape(wanted)} " if wanted else "250 ", answer):
            self.problems.append(f"{name}: wanted {wanted or 250}, got {answer}")
        elif not wanted:
            self.sent[id_in(answer)] = name, text

    def settle(self):
        """Waits for all that was taken, and compares each by its digest."""
        if self.client:
            self.client.close()
        for way, server in self.servers.items():
            arrived = server.wait_for(self.before[way] + len(self.sent), 60)[self.before[way]:]
            seen = set()
            for message in arrived:
                received, rest = take_received(message.data)
                name, text = self.sent[received["id"]]
                wanted = below_received(text) if way == "by chunks" else with_line_end(below_received(text))
                if digest(rest) != digest(wanted):
                    self.problems.append(f"{name}, {way}: arrived otherwise")
                if received["id"] in seen:
                    self.problems.append(f"{name}, {way}: arrived twice")
                seen.add(received["id"])
        assert not self.problems, "\n".join(self.problems)
        return len(self.sent), self.refused


def pass_through(internet, letters, chunk=None):
    comparison = Comparison(internet)
    for name, text in letters:
        comparison.hand_in(name, text, chunk)
    return comparison.settle()


@pytest.mark.parametrize("chunk", [None, 1 << 20, 4093], ids=["by DATA", "in one chunk", "in chunks of 4093"])
def test_every_letter_of_our_own_set_passes_byte_for_byte(office, chunk):
    taken, refused = pass_through(office, own_letters(), chunk)
    assert taken >= 60 and refused == 0


@pytest.mark.parametrize("chunk", [None, 1 << 20], ids=["by DATA", "by BDAT"])
def test_a_letter_that_may_not_pass_is_refused_whole_and_never_altered(office, chunk):
    letters = unsound_letters()
    taken, refused = pass_through(office, letters, chunk)
    assert (taken, refused) == (0, len(letters))


def test_a_letter_as_large_as_may_be_passes_and_one_octet_more_does_not(office):
    largest, line = 10 << 20, b".a line like all the others\r\n"
    text = HEAD + b"\r\n" + line * ((largest - 1000) // len(line))
    text += b"x" * (largest - len(text) - 2) + b"\r\n"
    comparison = Comparison(office)
    comparison.hand_in("the largest", text)
    comparison.hand_in("the largest, by BDAT", text, chunk=1 << 20)
    assert comparison.settle() == (2, 0)
    with office.client("relay") as client:
        client.hello()
        client.envelope(NURSE, CHUNKED)
        assert client.data(b"x" + text).startswith("552 5.3.4")


def test_letters_that_waited_in_the_store_and_through_a_kill_arrive_as_they_were(office):
    comparison, tried = Comparison(office), set()
    for server in comparison.servers.values():
        server.answers["END"] = lambda server, session, line: tried.add(server) or "451 4.3.0 not now"
    for name, text in own_letters():
        comparison.hand_in(name, text, chunk=1 << 20)
    wait_until(lambda: len(tried) == 3, "a first try by each way")
    office.gateway.kill()
    wait_until(lambda: all(session.connection.fileno() < 0 for server in comparison.servers.values()
                           for session in server.sessions), "the end of what the dead gateway said")
    for server in comparison.servers.values():
        server.answers.clear()
    office.gateway.start()
    taken, refused = comparison.settle()
    assert taken >= 60 and refused == 0


def needs(name):
    if not (Path(CORPORA) / name).is_dir():
        pytest.skip(f"the public set {name} is not here: our own set is the test")


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_each_letter_of_a_public_set_passes_byte_for_byte_or_is_refused(office, counts, name):
    needs(name)
    taken, refused = pass_through(office, public_letters(name))
    counts(f"{name}: {taken} letters came whole by three ways, {refused} were refused")


@pytest.mark.long
@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_each_letter_of_a_public_set_passes_byte_for_byte_in_chunks_too(office, counts, name):
    needs(name)
    taken, refused = pass_through(office, public_letters(name), chunk=10000)
    counts(f"{name}, in chunks: {taken} letters came whole by three ways, {refused} were refused")


# ---- the closed list of edits ----

FROM_TO = b"From: okello@clinic.example\r\nTo: marquez@partner.example\r\n"
DATE = b"Date: Mon, 2 Nov 2026 08:15:00 +0100\r\n"
ID = b"Message-ID: <1@clinic.example>\r\n"
COMPLETE = FROM_TO + DATE + ID
TEXT = b"\r\nBcc: this is text\r\nDate: this too\r\n"

# (what the row shows, as submitted, what is added on top of it, what is left of it)
EDITS = [
    ("a complete letter is left alone", COMPLETE + TEXT, (), COMPLETE + TEXT),
    ("a Date is added", FROM_TO + ID + TEXT, ("Date",), FROM_TO + ID + TEXT),
    ("a Message-ID is added", FROM_TO + DATE + TEXT, ("Message-ID",), FROM_TO + DATE + TEXT),
    ("both are added, Date first", FROM_TO + TEXT, ("Date", "Message-ID"), FROM_TO + TEXT),
    ("both are added to a letter without a header", b"\r\ntext\r\n", ("Date", "Message-ID"), b"\r\ntext\r\n"),
    ("both are added to an empty letter, and the empty line", b"", ("Date", "Message-ID"), b"\r\n"),
    ("an empty Date is one", FROM_TO + b"Date:\r\n" + ID + TEXT, (), FROM_TO + b"Date:\r\n" + ID + TEXT),
    ("a wrong Date is one", FROM_TO + b"Date: soon\r\n" + ID + TEXT, (), FROM_TO + b"Date: soon\r\n" + ID + TEXT),
    ("names are known in any case, and with blanks behind", FROM_TO + b"dATE \t: x\r\nMESSAGE-id: y\r\n" + TEXT, (),
     FROM_TO + b"dATE \t: x\r\nMESSAGE-id: y\r\n" + TEXT),
    ("fields of a resending count for nothing", FROM_TO + b"Resent-Date: x\r\nResent-Message-ID: <y@z>\r\n" + TEXT,
     ("Date", "Message-ID"), FROM_TO + b"Resent-Date: x\r\nResent-Message-ID: <y@z>\r\n" + TEXT),
    ("two Dates stay two", COMPLETE + DATE + TEXT, (), COMPLETE + DATE + TEXT),
    ("a missing From, To and Subject stay missing", DATE + ID + TEXT, (), DATE + ID + TEXT),
    ("a Bcc is left out", FROM_TO + b"Bcc: third@third.example\r\n" + DATE + ID + TEXT, (), COMPLETE + TEXT),
    ("a folded Bcc is left out with its folds",
     FROM_TO + b"Bcc: a@third.example,\r\n b@third.example,\r\n\t\r\n c@x.example\r\n" + DATE + ID + TEXT, (),
     COMPLETE + TEXT),
    ("a Bcc that begins on its second line is left out",
     FROM_TO + b"Bcc:\r\n a@third.example\r\n" + DATE + ID + TEXT, (), COMPLETE + TEXT),
    ("a Bcc on top is left out", b"Bcc: a@third.example\r\n" + COMPLETE + TEXT, (), COMPLETE + TEXT),
    ("an empty Bcc is left out", COMPLETE + b"Bcc:\r\n" + TEXT, (), COMPLETE + TEXT),
    ("several are left out, of any spelling",
     b"BCC: a@x.example\r\n" + FROM_TO + b"bcc : b@x.example\r\nBcC\t:c@x.example\r\n" + DATE
     + b"Resent-Bcc: d@x.example\r\n" + ID + b"rESENT-bCC:\r\n e@x.example\r\n" + TEXT, (), COMPLETE + TEXT),
    ("a Bcc at the end of a header without a body is left out", COMPLETE + b"Bcc: a@x.example\r\n", (), COMPLETE),
    ("a Bcc before a line that is no field is left out", COMPLETE + b"Bcc: a@x.example\r\nno field\r\n", (),
     COMPLETE + b"\r\nno field\r\n"),
    ("names that only look alike stay", COMPLETE + b"X-Bcc: 1\r\nBcc-Note: 2\r\nResent-Cc: 3\r\nCc: 4\r\n" + TEXT, (),
     COMPLETE + b"X-Bcc: 1\r\nBcc-Note: 2\r\nResent-Cc: 3\r\nCc: 4\r\n" + TEXT),
    ("a letter inside keeps its Bcc",
     COMPLETE + b"Content-Type: message/rfc822\r\n\r\nBcc: a@x.example\r\n\r\ntext\r\n", (),
     COMPLETE + b"Content-Type: message/rfc822\r\n\r\nBcc: a@x.example\r\n\r\ntext\r\n"),
]
ADDED = {
    "Date": rb"Date: (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d? [A-Z][a-z][a-z] 20\d\d \d\d:\d\d:\d\d \+0000\r\n",
    "Message-ID": rb"Message-ID: <(?P<message_id>[0-9a-z]{26})@mx\.clinic\.example>\r\n",
}


@pytest.fixture(scope="module")
def doors(office, authority):
    """Each way to hand a letter in: a client in a session, ready for an envelope."""
    machine = authority.issue("lis.clinic.example")

    def open_door(name):
        if name == "submissions":
            client = office.client(name, tls_at_once=machine)
            client.hello()
        else:
            client = office.client(name)
            client.hello(certificate=machine if name == "submission" else None, tls=name == "smtp")
        return client
    clients = {name: open_door(name) for name in ("submission", "submissions", "relay", "smtp")}
    yield clients
    for client in clients.values():
        client.close()


def through(office, doors, door, text, chunk=None):
    """What arrives at the one recipient; (the match of Received, what is below it)."""
    outside = door == "smtp"
    server = office.mailboxes if outside else office.chunked
    before = len(server.messages)
    client = doors[door]
    client.envelope("a@partner.example" if outside else NURSE, WARD if outside else CHUNKED)
    answer = client.chunks(text, chunk) if chunk else client.data(text)
    assert answer.startswith("250 "), answer
    received, rest = take_received(server.wait_for(before + 1)[-1].data)
    assert received["id"] == id_in(answer)
    return received, rest


@pytest.mark.parametrize("door", ["submission", "submissions"])
@pytest.mark.parametrize("text, added, left", [row[1:] for row in EDITS], ids=[row[0] for row in EDITS])
def test_on_submission_it_holds_that(office, doors, door, text, added, left):
    received, rest = through(office, doors, door, text)
    assert received["with"] == b"ESMTPS"
    for name in added:
        field = re.match(ADDED[name], rest)
        assert field, rest[:200]
        assert name != "Message-ID" or field["message_id"] == received["id"]
        rest = rest[field.end():]
    assert rest == left


@pytest.mark.parametrize("door", ["relay", "smtp"])
def test_of_all_that_is_edited_on_submission_nothing_is_on_the_other_doors(office, doors, door):
    for name, text, _, _ in EDITS:
        received, rest = through(office, doors, door, text)
        assert rest == below_received(text), name


@pytest.mark.parametrize("chunk", [None, 4093], ids=["by DATA", "by BDAT"])
def test_our_own_set_passes_the_submission_door_but_for_the_closed_list(office, doors, chunk):
    for name, text in own_letters():
        text = text if chunk else with_line_end(text)
        received, rest = through(office, doors, "submission", text, chunk)
        fields = fields_of(text)
        names = [name_of(field) for field in fields]
        wanted = b"".join(field for field in fields if name_of(field) not in (b"bcc", b"resent-bcc"))
        wanted += below_received(text)[header_end(text):]
        for added in ("Date", "Message-ID"):
            if added.lower().encode() not in names:
                field = re.match(ADDED[added], rest)
                assert field, (name, rest[:200])
                rest = rest[field.end():]
        assert digest(rest) == digest(wanted), name


@pytest.mark.parametrize("chunk", [None, 4093], ids=["by DATA", "by BDAT"])
def test_our_own_set_passes_the_door_for_outsiders_byte_for_byte(office, doors, chunk):
    for name, text in own_letters():
        received, rest = through(office, doors, "smtp", text, chunk)
        assert received["with"] == b"ESMTPS"
        assert digest(rest) == digest(with_line_end(below_received(text))), name


def test_received_names_the_recipient_only_where_there_is_one(office, doors):
    received, _ = through(office, doors, "relay", COMPLETE + TEXT)
    assert received["for"] == CHUNKED.encode()
    before = len(office.chunked.messages)
    client = doors["relay"]
    client.envelope(NURSE, CHUNKED, "hidden@partner.example")
    assert client.data(COMPLETE + TEXT).startswith("250 ")

    def all_there():
        return sum(len(message.recipients) for message in office.chunked.messages[before:]) == 2
    wait_until(all_there, "two deliveries")
    for message in office.chunked.messages[before:]:
        assert take_received(message.data)[0]["for"] is None
        assert b"hidden" not in message.data

# SPDX-License-Identifier: ISC
"""Line ends (cases S01 to S03, S05, S32): only CRLF is one, and no message hides another."""

import itertools
import re

import pytest
from conftest import CORPORA
from receiving import Clinic, body_of, everything, is_silent, send_all, send_singly

INNER = (b"MAIL FROM:<boss@clinic.example>\r\nRCPT TO:<m@partner.example>\r\nRCPT TO:<m@third.example>\r\n"
         b"RCPT TO:<nurse@clinic.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nforged")
END = b"\r\n.\r\n"
BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")


def published():
    """The public collection, where it is."""
    path = CORPORA / "smtp-smuggling/end-of-data.tsv"
    if not path.exists():
        return []
    rows = (line.split("\t") for line in path.read_text().splitlines()[1:] if line)
    return [("published " + row[0], bytes.fromhex(row[1])) for row in rows]


def grown():
    """What may stand before a dot, and what behind it, from a small grammar."""
    ends = {"": b"", "CR": b"\r", "LF": b"\n", "CRLF": b"\r\n", "CRCRLF": b"\r\r\n", "LFCR": b"\n\r", "LFLF": b"\n\n",
            "CRCR": b"\r\r", "CRLFNUL": b"\r\n\0", "CRNULLF": b"\r\0\n", "CRLFSP": b"\r\n ", "CRLFTAB": b"\r\n\t",
            "NEL": b"\x85", "VT": b"\v", "FF": b"\f"}
    dots = {"dot": b".", "dots": b"..", "dotNUL": b".\0"}
    for (before, a), (dot, d), (behind, b) in itertools.product(ends.items(), dots.items(), ends.items()):
        if a + d + b != END:
            yield f"{before or 'nothing'} {dot} {behind or 'nothing'}", a + d + b


def split(text):
    """(message, rest) as RFC 5321 section 4.1.1.4 finds the end, dots unstuffed."""
    text = b"\r\n" + text
    at = text.index(END)
    message = text[:at + 2].replace(b"\r\n.", b"\r\n")[2:]
    return message, text[at + len(END):]


@pytest.fixture(scope="module")
def clinic(shared_internet):
    made = Clinic(shared_internet, {"receive.sessions_per_address": 1000})
    yield made
    made.steady()


def envelope(client):
    client.envelope("nurse@clinic.example", "m@partner.example", "m@third.example", "nurse@clinic.example")


def try_to_smuggle(clinic, cases, send):
    """Each case in a session of its own; then what the peers got is compared with what RFC 5321 says was sent."""
    wanted, refused = {}, []
    for number, (name, sequence) in enumerate(cases):
        head = b"Subject: case-%d\r\n\r\nfirst" % number
        text = head + sequence + INNER + END
        message, rest = split(text)
        with clinic.say("relay") as client:
            envelope(client)
            assert client.ask("DATA").startswith("354"), name
            send(client, text)
            answer = client.reply()
            if BARE.search(message):
                assert re.match("550 5.6.0|521 5.5.2", answer), (name, answer)
                assert everything(client) == [], name
                refused.append(b"case-%d\r\n" % number)
                continue
            assert answer.startswith("250 2.0.0"), (name, answer)
            wanted[b"case-%d\r\n" % number] = (name, message)
            if rest:
                # A true end: what follows is no text any more, and its first line, MAIL, is spoiled.
                answers = everything(client)
                assert answers[0].startswith("500 5.5.2"), name
                assert not any(answer.startswith(("2", "354")) for answer in answers), (name, answers)
            else:
                assert client.ask("NOOP").startswith("250"), name
    for subject, (name, message) in wanted.items():
        for server in (clinic.data, clinic.chunks, clinic.inside):
            assert body_of(clinic.received(server, subject)) == message, name
    for server in (clinic.data, clinic.chunks, clinic.inside):
        for message in server.messages:
            assert message.sender == "nurse@clinic.example"
            assert not message.data.startswith(b"Subject: smuggled")
            assert not any(subject in message.data for subject in refused)
        subjects = [re.search(rb"case-\d+\r\n", message.data) for message in server.messages]
        found = [match.group() for match in subjects if match]
        assert sorted(found) == sorted(set(found)), "a message came twice"
        for session in server.sessions:
            assert not BARE.search(bytes(session.sealed)), "a bare CR, LF or NUL went out"
    for server in (clinic.data, clinic.chunks, clinic.inside):
        server.messages.clear()
    return len(wanted), len(refused)


def test_published_sequences_smuggle_nothing_through_data_chunks_or_lmtp(clinic):
    cases = published()
    if not cases:
        pytest.skip("the public collection is not here")
    taken, refused = try_to_smuggle(clinic, cases, send_all)
    assert taken + refused == len(cases) and refused >= 12


def test_sequences_of_a_grammar_smuggle_nothing_through_data_chunks_or_lmtp(clinic):
    taken, refused = try_to_smuggle(clinic, list(grown()), send_all)
    assert taken > 50 and refused > 400


def test_one_octet_a_segment_changes_nothing(clinic):
    cases = [*published(), *list(grown())[::29]]
    try_to_smuggle(clinic, cases, send_singly)


def test_the_end_of_data_is_found_wherever_segments_are_cut(clinic):
    whole = b"Subject: cut\r\n\r\n..\r\n..x\r\n...\r\n.\r\n"
    for at in range(1, len(whole)):
        with clinic.say("relay") as client:
            envelope(client)
            assert client.ask("DATA").startswith("354")
            client.send(whole[:at])
            client.send(whole[at:])
            assert client.reply().startswith("250"), at
            assert client.ask("NOOP").startswith("250"), at
    clinic.settle()
    found = [body_of(m) for m in clinic.inside.messages if b"cut" in m.data]
    assert found == [b"Subject: cut\r\n\r\n.\r\n.x\r\n..\r\n"] * (len(whole) - 1)


@pytest.mark.parametrize("sequence", [b"\n.\n", b"\r.\r\n", b"\r.\n", b"\r\r\n.\r\r\n", b"a\nb", b"\0", b"\n"])
def test_a_chunk_with_a_bare_cr_or_lf_or_nul_is_refused_whole(clinic, sequence):
    text = b"Subject: chunked\r\n\r\nx" + sequence + INNER
    with clinic.say("relay") as client:
        envelope(client)
        client.send(f"BDAT {len(text)} LAST\r\n".encode() + text)
        assert client.reply().startswith("550 5.6.0")
        assert is_silent(client) or everything(client) == []
    assert clinic.mailbox_is_empty_of(b"chunked")


def test_a_true_end_of_data_within_a_chunk_is_text_everywhere(clinic):
    text = b"Subject: within\r\n\r\nx" + END + INNER + b"\r\n"
    with clinic.say("relay") as client:
        envelope(client)
        client.send(f"BDAT {len(text)} LAST\r\n".encode() + text)
        assert client.reply().startswith("250 2.0.0")
    for server in (clinic.data, clinic.chunks, clinic.inside):
        assert body_of(clinic.received(server, b"within")) == text
    clinic.settle()
    assert not any(m.sender == "boss@clinic.example" for m in clinic.data.messages)


@pytest.mark.parametrize("run", [b"a\r.\r\nNOOP\r\n", b"a\r\r\n.\r\r\nNOOP\r\n", b"a\n\r.\r\nNOOP\r\n",
                                 b"a\r\n.\rNOOP\r\n", b"a\n.\nNOOP\n", b"a\r\n.\nNOOP\r\n", b"a\n.\r\nNOOP\r\n"])
def test_what_is_no_line_end_ends_no_data(clinic, run):
    with clinic.say() as client:
        client.envelope("a@partner.example", "nurse@clinic.example")
        assert client.ask("DATA").startswith("354")
        client.send(run)
        assert is_silent(client), "NOOP was answered, or the message taken"
        client.send(END)
        answer = everything(client)
        assert len(answer) == 1 and re.match("550 5.6.0|521 5.5.2", answer[0]), answer


@pytest.mark.parametrize("line", [
    b"MAIL FROM:<a@partner.example>\nRCPT TO:<nurse@clinic.example>\r\n",
    b"MAIL FROM:<a@partner.example>\rRCPT TO:<nurse@clinic.example>\r\n",
    b"MAIL FROM:<a@partner.example>\r\r\n", b"MAIL FROM:<a@partner.example>\n", b"\nMAIL FROM:<a@partner.example>\r\n",
    b"NOOP\nNOOP\r\n", b"NOOP\n\r\n", b"NOOP\r\0\n", b"MAIL FROM:<a\n@partner.example>\r\n", b"QUIT\n", b"\r\r\n",
])
def test_a_command_with_a_bare_cr_or_lf_is_refused_whole(clinic, line):
    with clinic.say() as client:
        client.send(line + b"RCPT TO:<nurse@clinic.example>\r\nRSET\r\n")
        answer = everything(client)
        assert len(answer) == 1 and re.match("500 5.5.2|521 5.5.2", answer[0]), answer


@pytest.mark.parametrize("line", [b"EHLO a.example\n", b"EHLO a.example\rX\r\n", b"HELO a.example\nMAIL FROM:<>\r\n"])
def test_a_first_command_with_a_bare_cr_or_lf_is_refused_whole(clinic, line):
    with clinic.say(hello=False) as client:
        client.send(line + b"NOOP\r\n")
        answer = everything(client)
        assert len(answer) == 1 and re.match("500 5.5.2|521 5.5.2", answer[0]), answer


@pytest.mark.parametrize("text", [b"Subject: n\r\n\r\nab\0cd\r\nNEXT\r\n", b"Subject: n\0\r\n\r\nab\r\n",
                                  b"\0", b"Subject: n\r\n\r\n\0\r\n", b"Subject: n\r\n\r\n.\0\r\nNEXT\r\n"])
def test_a_nul_neither_cuts_a_message_nor_its_reading(clinic, text):
    with clinic.say("relay") as client:
        envelope(client)
        assert client.data(text).startswith("550 5.6.0")
    assert clinic.mailbox_is_empty_of(b"Subject: n")


@pytest.mark.parametrize("name, text, body", [
    ("nothing at all", b".\r\n", b"\r\n"),
    ("a header without an empty line", b"Subject: only a header\r\n.\r\n", b"Subject: only a header\r\n"),
    ("an empty line only", b"\r\n.\r\n", b"\r\n"),
    ("a body without a header", b"\r\nbody\r\n.\r\n", b"\r\nbody\r\n"),
    ("a stuffed dot only", b"..\r\n.\r\n", b"\r\n.\r\n"),
])
def test_an_empty_message_is_a_message(clinic, name, text, body):
    clinic.settle()
    for server in (clinic.data, clinic.chunks, clinic.inside):
        server.messages.clear()
    with clinic.say("relay") as client:
        envelope(client)
        assert client.ask("DATA").startswith("354")
        client.send(text)
        assert client.reply().startswith("250 2.0.0"), name
        assert client.ask("NOOP").startswith("250"), name
    for server in (clinic.data, clinic.chunks, clinic.inside):
        found = body_of(server.wait_for(1)[0])
        assert found == body, name


@pytest.mark.parametrize("text, wants_8bit", [(b"Subject: eight\r\n\r\ngr\xc3\xbc\xc3\x9fe \xff\x80\r\n", True),
                                              (b"Subject: \xfc eight\r\n\r\nx\r\n", True),
                                              (b"Subject: seven\r\n\r\nx\r\n", False)])
@pytest.mark.parametrize("declared", ["", " BODY=8BITMIME", " BODY=7BIT"])
def test_eight_bit_text_is_declared_by_what_it_is(clinic, text, wants_8bit, declared):
    subject = b"-%s-%d-" % (declared.encode(), len(clinic.data.messages))
    with clinic.say("relay") as client:
        client.envelope("nurse@clinic.example", "m@partner.example", parameters=declared)
        assert client.data(text + subject + b"\r\n").startswith("250")
    found = clinic.received(clinic.data, subject)
    assert body_of(found) == text + subject + b"\r\n"
    assert ("BODY=8BITMIME" in found.mail_line) == wants_8bit, found.mail_line

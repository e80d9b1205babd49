# SPDX-License-Identifier: ISC
"""BDAT (S10 to S12, S14 and their kind): chunks are text whatever they hold, and sizes are believed
or refused whole."""

import re
import sqlite3
import time

import pytest
from receiving import Clinic, HandTls, body_of, everything

OPEN = b"MAIL FROM:<a@partner.example>\r\nRCPT TO:<nurse@clinic.example>\r\n"


@pytest.fixture(scope="module")
def clinic(shared_internet):
    made = Clinic(shared_internet)
    yield made
    made.steady()


def talk(clinic, data, door="smtp"):
    """The codes of all that is answered to this in one write, without greeting and EHLO."""
    with clinic.say(door) as client:
        client.send(data)
        return codes(everything(client))


def codes(lines):
    return [re.match(r"\d{3}(?: \d\.\d\.\d+)?", line).group() for line in lines if line[3:4] != "-"]


def chunk(text, last=False):
    return b"BDAT %d%s\r\n" % (len(text), b" LAST" if last else b"") + text


def test_the_last_chunk_gets_one_reply_after_the_commit(clinic):
    pieces = [b"Subject: lasting\r\n\r\n" + b"x" * 980, b"y" * 1000, b"z" * 498 + b"\r\n"]
    with clinic.say() as client:
        client.envelope("a@partner.example", "nurse@clinic.example")
        for piece in pieces[:2]:
            client.send(chunk(piece))
            assert client.reply().startswith("250 2.0.0")
        client.send(chunk(pieces[2], last=True))
        assert client.reply().startswith("250 2.0.0 Ok")
        client.send("QUIT\r\n")
        assert codes(everything(client)) == ["221 2.0.0"]
    assert body_of(clinic.received(clinic.inside, b"lasting")) == b"".join(pieces)


@pytest.mark.long
def test_a_store_that_cannot_commit_gives_451_for_the_last_chunk_and_no_250(clinic):
    clinic.settle()  # all roles have opened the store: one that cannot would be started again
    database = next(clinic.gateway.state.glob("**/store.sqlite"))
    with clinic.say() as client, sqlite3.connect(database, isolation_level=None) as store:
        client.envelope("a@partner.example", "nurse@clinic.example")
        store.execute("BEGIN IMMEDIATE")
        try:
            for piece in (b"Subject: uncommitted\r\n\r\n", b"b" * 1000):
                client.send(chunk(piece))
                assert client.reply().startswith("250 2.0.0")
            client.send(chunk(b"c\r\n", last=True))
            time.sleep(0.01)
            client.send("QUIT\r\n")
            assert codes(everything(client, 60)) == ["451 4.3.0", "221 2.0.0"]
        finally:
            store.execute("ROLLBACK")
    assert clinic.mailbox_is_empty_of(b"uncommitted")


def test_a_lone_dot_within_a_chunk_is_text(clinic):
    text = b"Subject: x\r\n\r\n.a\r\n.\r\n..\r\nb\r\n"
    assert len(text) == 28
    with clinic.say("relay") as client:
        client.envelope("nurse@clinic.example", "m@partner.example", "m@third.example", "nurse@clinic.example")
        client.send(b"BDAT 28 LAST\r\n" + text)
        assert client.reply().startswith("250 2.0.0")
    for server in (clinic.data, clinic.chunks, clinic.inside):
        assert body_of(clinic.received(server, b"Subject: x")) == text
    assert talk(clinic, OPEN + b"BDAT 3\r\n.\r\nBDAT 0 LAST\r\nQUIT\r\n") == [
        "250 2.1.0", "250 2.1.5", "250 2.0.0", "250 2.0.0", "221 2.0.0"]
    clinic.settle()
    assert any(body_of(message) == b"\r\n.\r\n" for message in clinic.inside.messages)


def test_the_gateway_rests_when_a_chunk_has_been_taken(clinic):
    def ticks():
        return sum(map(int, open(f"/proc/{clinic.pids['receive']}/stat").read().rsplit(")", 1)[1].split()[11:13]))

    with clinic.say() as client:
        client.envelope("a@partner.example", "nurse@clinic.example")
        client.send(b"BDAT 3\r\n.\r\n")
        client.reply()
        before = ticks()
        time.sleep(0.5)
        assert ticks() - before < 20


def test_borders_of_chunks_may_fall_anywhere(clinic):
    assert talk(clinic, OPEN + b"BDAT 3\r\nabcBDAT 2 LAST\r\ndeQUIT\r\n") == [
        "250 2.1.0", "250 2.1.5", "250 2.0.0", "250 2.0.0", "221 2.0.0"]
    text = b"Subject: borders\r\n\r\n.\r\n..\r\nend\r\n"
    for size in range(1, len(text)):
        pieces = [text[at:at + size] for at in range(0, len(text), size)]
        data = OPEN + b"".join(map(chunk, pieces)) + b"BDAT 0 LAST\r\nQUIT\r\n"
        assert talk(clinic, data) == ["250 2.1.0", "250 2.1.5"] + ["250 2.0.0"] * (len(pieces) + 1) + ["221 2.0.0"]
    clinic.settle()
    found = [body_of(message) for message in clinic.inside.messages if b"borders" in message.data]
    assert found == [text] * (len(text) - 1)


def test_a_cr_and_its_lf_may_stand_in_two_chunks_but_not_with_an_empty_end(clinic):
    assert talk(clinic, OPEN + b"BDAT 2\r\na\rBDAT 2 LAST\r\n\nbQUIT\r\n")[-2:] == ["250 2.0.0", "221 2.0.0"]
    assert talk(clinic, OPEN + b"BDAT 2\r\na\rBDAT 2 LAST\r\nbcQUIT\r\n")[-2:] == ["550 5.6.0", "221 2.0.0"]
    assert talk(clinic, OPEN + b"BDAT 2\r\na\rBDAT 0 LAST\r\nQUIT\r\n")[-2:] == ["550 5.6.0", "221 2.0.0"]


@pytest.mark.parametrize("argument", [
    b"", b"-1", b"-1 LAST", b"+5", b"abc", b"5x", b"0x5", b"5 FIRST", b"LAST", b"LAST 5", b"5 LAST LAST",
    b"5 LASTING", b"5.0", b"18446744073709551616", b"18446744073709551615", b"9223372036854775807", b"4294967296",
    b"99999999999999999999999", b"18446744073709551616 LAST", b"1e3", b"5,0",
])
def test_a_size_that_cannot_be_ends_the_session_and_nothing_behind_it_is_run(clinic, argument):
    data = OPEN + b"BDAT " + argument + b"\r\nhello" + OPEN + b"BDAT 6 LAST\r\nforged"
    answers = talk(clinic, data)
    assert len(answers) == 3 and re.match("501 5.5.4|552 5.3.4|421 4.7.0", answers[2]), answers


def test_sizes_with_odd_looks_are_still_numbers(clinic):
    for command in (b"BDAT 0000000005 LAST", b"bdat 5 last", b"BDAT 5  LAST", b"BDAT 5 LAST "):
        answers = talk(clinic, OPEN + command + b"\r\nhelloQUIT\r\n")
        assert answers[2] in ("250 2.0.0", "501 5.5.4"), (command, answers)


def test_chunks_without_a_transaction_are_swallowed_and_refused(clinic):
    inner = b"MAIL FROM:<boss@clinic.example>\r\n"
    assert talk(clinic, chunk(inner) + chunk(inner, last=True) + b"NOOP\r\nQUIT\r\n") == [
        "503 5.5.1", "503 5.5.1", "250 2.0.0", "221 2.0.0"]
    assert talk(clinic, b"MAIL FROM:<a@partner.example>\r\n" + chunk(inner, last=True) + b"NOOP\r\nQUIT\r\n") == [
        "250 2.1.0", "554 5.5.1", "250 2.0.0", "221 2.0.0"]
    assert talk(clinic, b"MAIL FROM:<a@partner.example>\r\nRCPT TO:<x@elsewhere.example>\r\n" +
                chunk(inner, last=True) + b"NOOP\r\nQUIT\r\n") == ["250 2.1.0", "550 5.7.1", "554 5.5.1", "250 2.0.0",
                                                                   "221 2.0.0"]


def test_data_and_chunks_do_not_mix(clinic):
    with clinic.say() as client:
        client.send(OPEN + chunk(b"Subject: mixed\r\n\r\n"))
        for _ in range(3):
            client.reply()
        assert client.ask("DATA").startswith("503 5.5.1")
        assert client.ask("RCPT TO:<postmaster@clinic.example>").startswith("503 5.5.1")
        assert client.ask("MAIL FROM:<a@partner.example>").startswith("503 5.5.1")
        client.send(chunk(b"the end\r\n", last=True))
        assert client.reply().startswith("250 2.0.0")
        assert client.ask("NOOP").startswith("250")
    assert body_of(clinic.received(clinic.inside, b"mixed")) == b"Subject: mixed\r\n\r\nthe end\r\n"


def test_rset_between_chunks_forgets_them(clinic):
    answers = talk(clinic, OPEN + chunk(b"Subject: forgotten\r\n\r\n") + b"RSET\r\n" + chunk(b"x", last=True) + OPEN +
                   chunk(b"Subject: kept\r\n\r\nx\r\n", last=True) + b"QUIT\r\n")
    assert answers == ["250 2.1.0", "250 2.1.5", "250 2.0.0", "250 2.0.0", "503 5.5.1", "250 2.1.0", "250 2.1.5",
                       "250 2.0.0", "221 2.0.0"]
    assert body_of(clinic.received(clinic.inside, b"kept")) == b"Subject: kept\r\n\r\nx\r\n"
    assert clinic.mailbox_is_empty_of(b"forgotten")


def test_ehlo_between_chunks_forgets_them_too(clinic):
    answers = talk(clinic, OPEN + chunk(b"Subject: greeted\r\n\r\n") + b"HELO again\r\n" +
                   chunk(b"x", last=True) + b"QUIT\r\n")
    assert answers[-3:] == ["250", "503 5.5.1", "221 2.0.0"]
    assert clinic.mailbox_is_empty_of(b"greeted")


def test_a_chunk_too_many_is_refused_and_the_rest_of_the_message_with_it(clinic):
    big = b"x" * 998 + b"\r\n"
    with clinic.say() as client:
        client.send(OPEN)
        client.reply(), client.reply()
        client.send(b"BDAT %d\r\n" % (6000 * 1000) + big * 6000)
        assert client.reply().startswith("250 2.0.0")
        client.send(b"BDAT %d\r\n" % (6000 * 1000) + big * 6000)
        assert client.reply().startswith("552 5.3.4")
        client.send(chunk(b"more\r\n") + chunk(b"end\r\n", last=True))
        assert client.reply().startswith("503 5.5.1") and client.reply().startswith("503 5.5.1")
        assert client.ask("RSET").startswith("250")
        client.send(OPEN + chunk(b"Subject: after\r\n\r\nx\r\n", last=True))
        assert [client.reply()[:3] for _ in range(3)] == ["250"] * 3
    assert clinic.received(clinic.inside, b"Subject: after")


def test_a_client_that_leaves_inside_a_chunk_leaves_nothing(clinic):
    before = clinic.events()
    for tail in (b"", b"x", b"x" * 999):
        with clinic.say() as client:
            client.send(OPEN + b"BDAT 1000 LAST\r\nSubject: left" + tail[:980])
            client.reply(), client.reply()
    assert clinic.mailbox_is_empty_of(b"Subject: left")
    assert clinic.events() > before


@pytest.mark.parametrize("clear", [b"A", b"B" * 4096, b"x" * 600 + b"\r\nNOOP\r\n", OPEN])
def test_tls_closed_within_a_chunk_ends_everything(clinic, clear):
    events = clinic.events()
    with clinic.say() as client:
        assert client.ask("STARTTLS").startswith("220")
        tls = HandTls(client).handshake()
        tls.ask("EHLO a.example")
        for line in OPEN.decode().split("\r\n")[:2]:
            assert tls.ask(line).startswith("250")
        tls.send(b"BDAT 1000\r\n" + b"Subject: torn\r\n".ljust(400, b"x"))
        tls.close_notify()
        try:
            client.socket.sendall(clear)
        except ConnectionError:
            pass
        rest = b""
        try:
            while data := client.socket.recv(65536):
                rest += data
        except ConnectionError:
            pass
        assert not re.search(rb"\d{3}[ -]\d\.\d\.\d", rest)
    assert clinic.mailbox_is_empty_of(b"Subject: torn")
    assert clinic.events() > events


def test_tls_cut_without_a_word_within_a_chunk_leaves_nothing(clinic):
    with clinic.say() as client:
        assert client.ask("STARTTLS").startswith("220")
        tls = HandTls(client).handshake()
        tls.ask("EHLO a.example")
        for line in OPEN.decode().split("\r\n")[:2]:
            assert tls.ask(line).startswith("250")
        tls.send(b"BDAT 100 LAST\r\nSubject: cut off")
    assert clinic.mailbox_is_empty_of(b"Subject: cut off")


def test_clear_bytes_within_tls_end_the_session(clinic):
    with clinic.say() as client:
        assert client.ask("STARTTLS").startswith("220")
        tls = HandTls(client).handshake()
        tls.ask("EHLO a.example")
        client.socket.sendall(OPEN + chunk(b"Subject: clear\r\n\r\n", last=True))
        rest = b""
        try:
            while data := client.socket.recv(65536):
                rest += data
        except ConnectionError:
            pass
        assert b"250" not in rest
    assert clinic.mailbox_is_empty_of(b"Subject: clear")

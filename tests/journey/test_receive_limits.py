# SPDX-License-Identifier: ISC
"""Too much, too long, too slow (S28, S31, S35, S36, S58, S70, S71 and their kind): a limit each, and all is well
afterwards."""

import re
import resource
import socket
import time

import pytest
from conftest import wait_until
from receiving import Clinic, everything, is_silent, send_all

MIB = 1 << 20
LARGEST = 10 * MIB
SPOOL = 10 << 10  # KiB that one message may hold until it is over


@pytest.fixture(scope="module")
def clinic(shared_internet):
    made = Clinic(shared_internet, {"receive.data_timeout_ms": 700, "receive.data_total_ms": 2500,
                                    "receive.command_timeout_ms": 20000, "receive.bytes_in_flight_max": 40 * MIB,
                                    "receive.sessions_per_address": 60}, prefix=["prlimit", "--nofile=1024:1024"])
    yield made
    made.steady()


@pytest.fixture(autouse=True)
def gives_back(clinic):
    """After each test the gateway holds no more descriptors than before."""
    clinic.settle()
    descriptors = clinic.descriptors()
    yield
    wait_until(lambda: clinic.descriptors() <= descriptors + 2, "descriptors given back")


def open_data(client):
    client.envelope("a@partner.example", "nurse@clinic.example")
    assert client.ask("DATA").startswith("354")


def codes(lines):
    return [re.match(r"\d{3}(?: \d\.\d\.\d+)?", line).group() for line in lines if line[3:4] != "-"]


# ---- size ----

def test_an_oversized_message_is_drained_and_answered_once_and_the_session_goes_on(clinic):
    before = clinic.memory()
    with clinic.say() as client:
        open_data(client)
        client.send((b"x" * 998 + b"\r\n") * 50000 + b"\r\n.\r\nMAIL FROM:<b@partner.example>\r\nQUIT\r\n")
        assert codes(everything(client)) == ["552 5.3.4", "250 2.1.0", "221 2.0.0"]
    assert clinic.memory() - before < SPOOL


@pytest.mark.parametrize("size, wanted", [(LARGEST, "250 2.0.0"), (LARGEST + 1, "552 5.3.4")])
@pytest.mark.parametrize("by", ["DATA", "BDAT", "pieces"])
def test_the_largest_message_is_taken_and_one_octet_more_is_not(clinic, size, wanted, by):
    head = b"Subject: large\r\n\r\n"
    text = head + (b"x" * 998 + b"\r\n") * ((size - len(head)) // 1000)
    text += b"y" * (size - len(text) - 2) + b"\r\n"
    assert len(text) == size
    with clinic.say() as client:
        client.envelope("a@partner.example", "nurse@clinic.example")
        if by == "DATA":
            answer = client.data(text)
        elif by == "BDAT":
            answer = client.chunks(text)
        else:
            answer = client.chunks(text, 1234567)
        assert answer.startswith(wanted)
        assert client.ask("RSET").startswith("250") and client.ask("NOOP").startswith("250")


def test_a_message_without_end_is_cut_with_421(clinic):
    for piece in (b"x" * 998 + b"\r\n", b"A" * 1000):
        with clinic.say() as client:
            open_data(client)
            sent = 0
            while sent < 400 * MIB and send_all(client, piece * 1000):
                sent += 1000 * len(piece)
            assert sent < 200 * MIB
            assert codes(everything(client)) == ["421 4.7.0"]
    with clinic.say() as client:
        client.envelope("a@partner.example", "nurse@clinic.example")
        client.send("BDAT 4000000000\r\n")
        assert codes(everything(client)) == ["421 4.7.0"]


def test_millions_of_continuation_lines_are_refused_at_the_limit_of_the_header(clinic):
    lines = b"X: a\r\n" + b" b\r\n" * 2600000
    before = clinic.memory()
    for text, wanted in ((lines, "552 5.3.4"), (b"X: a\r\n" + b"\t" * 2000000 + b"\r\n\r\n", "554 5.6.0"),
                         (b"X: a\r\n" * 3000 + b"\r\n", "552 5.3.4"),
                         (b"X: a\r\n" + b"\t\r\n" * 100000 + b"\r\n", "552 5.3.4"),
                         (b"X: " + b"(" * 60000 + b"\r\n\r\n", "250"),
                         (b"Received: " + b"(" * 60000 + b"\r\n\r\n", "250"),
                         (b"Subject: " + b"=?utf-8?b?eHh4?= " * 3000 + b"\r\n\r\n", "250")):
        with clinic.say() as client:
            client.envelope("a@partner.example", "nurse@clinic.example")
            client.ask("DATA")
            client.send(text + b".\r\n")
            answer = client.reply()
            assert answer.startswith(wanted), answer
    assert clinic.memory() - before < SPOOL


# ---- lines ----

def test_a_command_line_without_end_costs_its_limit(clinic):
    before = clinic.memory()
    with clinic.say() as client:
        sent = 0
        while sent < 1 << 30 and send_all(client, b"A" * MIB):
            sent += MIB
        assert sent < 64 * MIB
    assert clinic.memory() - before < 1024


@pytest.mark.parametrize("pad", [512, 1000, 1024, 2048, 4096, 8191, 8192, 8193, 8194, 16384, 16385, 65536])
def test_the_tail_of_a_long_line_is_no_command(clinic, pad):
    with clinic.say() as client:
        client.send(b"NOOP ".ljust(pad, b"x") + b"MAIL FROM:<x@partner.example>\r\n")
        client.send(b"RCPT TO:<nurse@clinic.example>\r\nQUIT\r\n")
        answers = codes(everything(client))
        if pad + len("MAIL FROM:<x@partner.example>") <= 8192:
            assert answers == ["250 2.0.0", "503 5.5.1", "221 2.0.0"]
        else:
            assert answers == ["500 5.5.2"]


def test_a_name_of_eleven_thousand_odd_octets_is_refused(clinic):
    with clinic.say(hello=False) as client:
        client.send(b"EHLO " + b"\xff" * 11000 + b"\r\nNOOP\r\n")
        assert codes(everything(client)) == ["500 5.5.2"]


# ---- many ----

def test_a_thousand_recipients_are_taken_and_the_next_is_asked_to_come_again(clinic):
    with clinic.say("relay") as client:
        client.send("MAIL FROM:<nurse@clinic.example>\r\n" +
                    "".join(f"RCPT TO:<r{n}@partner.example>\r\n" for n in range(1001)))
        answers = [client.reply()[:9] for _ in range(1002)]
        assert answers == ["250 2.1.0"] + ["250 2.1.5"] * 1000 + ["452 4.5.3"]
        assert client.ask("RCPT TO:<r5@partner.example>").startswith("250")  # known already
        assert client.data(b"Subject: thousand\r\n\r\nx\r\n").startswith("250")
        client.envelope("nurse@clinic.example", "r1000@partner.example")
        assert client.data(b"Subject: thousand\r\n\r\nx\r\n").startswith("250")

    def recipients():
        return {r for m in list(clinic.data.messages) if b"thousand" in m.data for r in m.recipients}

    wait_until(lambda: len(recipients()) == 1001, "all recipients")


def test_many_connections_of_one_address_do_not_shut_out_others(clinic):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8000), hard))
    crowd, refused = [], 0
    try:
        for _ in range(1500):
            connection = socket.create_connection(("127.0.0.1", clinic.internet.ports["smtp"]), 10, ("127.0.0.2", 0))
            crowd.append(connection)
        for connection in crowd:
            connection.settimeout(10)
            refused += connection.recv(9) == b"421 4.7.0"
        assert refused == 1500 - 60
        with clinic.say(source="127.0.0.3") as client:
            client.envelope("a@partner.example", "nurse@clinic.example")
            assert client.data(b"Subject: not-shut-out\r\n\r\nx\r\n").startswith("250")
        assert clinic.received(clinic.inside, b"not-shut-out")
    finally:
        for connection in crowd:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def is_served():
        with clinic.internet.client("smtp", source="127.0.0.2") as client:
            return client.reply().startswith("220")

    wait_until(is_served, "room for the address again")


def test_many_connections_of_many_addresses_leave_descriptors_for_the_rest(clinic):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8000), hard))
    crowd = []
    try:
        for number in range(1200):
            connection = socket.create_connection(("127.0.0.1", clinic.internet.ports["smtp"]), 10,
                                                  (f"127.0.{2 + number // 50}.{1 + number % 50}", 0))
            crowd.append(connection)
        first = [c.recv(9) for c in crowd]
        served, refused = first.count(first[0]), first.count(b"421 4.3.2")
        assert first[0].startswith(b"220 mx") and served > 500 and refused > 100 and served + refused == 1200
        # Whoever is in is served to the end: the store and the journal have descriptors left.
        crowd[0].sendall(b"EHLO a\r\nMAIL FROM:<a@partner.example>\r\nRCPT TO:<nurse@clinic.example>\r\nDATA\r\n"
                         b"Subject: in-the-crowd\r\n\r\nx\r\n.\r\n")
        assert clinic.received(clinic.inside, b"in-the-crowd")
    finally:
        for connection in crowd:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def is_served():
        with clinic.internet.client("smtp") as client:
            return client.reply().startswith("220")

    wait_until(is_served, "room again")


def test_messages_in_flight_beyond_the_cap_get_452_and_room_comes_back(clinic):
    piece = (b"x" * 998 + b"\r\n") * 1000
    holders = []
    try:
        for _ in range(8):  # 8 MiB each where the cap is 40
            client = clinic.say()
            client.envelope("a@partner.example", "nurse@clinic.example")
            client.send(b"BDAT %d\r\n" % (8 * len(piece)))
            send_all(client, piece * 8)
            holders.append((client, client.reply()))
            if holders[-1][1].startswith("452"):
                break
        assert holders[-1][1].startswith("452 4.3.1") and 3 <= len(holders) <= 6
        with clinic.say() as client:  # small mail still has room, or is asked to come again: never lost
            assert client.ask("MAIL FROM:<a@partner.example> SIZE=9000000").startswith("452 4.3.1")
            open_data(client)
            client.send(piece * 9 + b".\r\n")
            assert client.reply().startswith("452 4.3.1")
            assert client.ask("NOOP").startswith("250")
        for client, answer in holders[:-1]:
            client.send("BDAT 0 LAST\r\n")
    finally:
        for client, _ in holders:
            client.close()

    def has_room():
        with clinic.say() as client:
            open_data(client)
            client.send(piece * 9 + b".\r\n")
            return client.reply().startswith("250")

    wait_until(has_room, "room for messages again")


# ---- slow ----

def test_a_trickle_ends_at_the_cap_of_the_whole_message(clinic):
    with clinic.say() as client:
        open_data(client)
        start = time.monotonic()
        while time.monotonic() < start + 15 and send_all(client, b"x"):
            time.sleep(0.2)
            if not is_silent(client, 0.01):
                break
        assert codes(everything(client)) == ["421 4.4.2"]


@pytest.mark.parametrize("begin", [b"", b"Subject: x\r\n", b"Subject: x\r\n\r\n.", b"Subject: x\r\n\r\n.\r"])
@pytest.mark.parametrize("command", ["DATA\r\n", "BDAT 500\r\n"])
def test_silence_within_a_message_ends_it_and_its_rest_is_no_command(clinic, begin, command):
    with clinic.say() as client:
        client.envelope("a@partner.example", "nurse@clinic.example")
        client.send(command)
        if command.startswith("DATA"):
            assert client.reply().startswith("354")
        client.send(begin)
        assert client.reply().startswith("421 4.4.2")
        send_all(client, b"RCPT TO:<nurse@clinic.example>\r\n.\r\nNOOP\r\n")
        assert everything(client) == []
    assert clinic.mailbox_is_empty_of(b"Subject: x\r\n")


# ---- closing ----

def test_a_client_that_closes_its_sending_side_still_gets_its_replies(clinic):
    whole = (b"EHLO a\r\nMAIL FROM:<a@partner.example>\r\nRCPT TO:<nurse@clinic.example>\r\nDATA\r\n"
             b"Subject: half-%d-\r\n\r\nx\r\n.\r\n")
    for number in range(200):
        for ending in (b"QUIT\r\n", b""):
            with clinic.internet.client("smtp") as client:
                client.send(whole % (2 * number + (not ending)) + ending)
                client.socket.shutdown(socket.SHUT_WR)
                answers = codes(everything(client))
                assert answers[:6] == ["220", "250", "250 2.1.0", "250 2.1.5", "354", "250 2.0.0"], answers
                assert answers[6:] == (["221 2.0.0"] if ending else [])
    clinic.settle()
    found = [re.search(rb"half-\d+-", m.data).group() for m in clinic.inside.messages if b"half-" in m.data]
    assert len(found) == len(set(found)) == 400
    assert clinic.gateway.roles() == clinic.pids


def test_a_client_that_resets_at_any_point_leaves_nothing(clinic):
    whole = (b"EHLO a\r\nMAIL FROM:<a@partner.example>\r\nRCPT TO:<nurse@clinic.example>\r\nDATA\r\n"
             b"Subject: reset\r\n\r\nx\r\n.")
    for at in range(0, len(whole), 3):
        client = clinic.internet.client("smtp")
        client.send(whole[:at])
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    assert clinic.mailbox_is_empty_of(b"Subject: reset")


# ---- loops ----

def test_two_forwarders_that_send_to_each_other_are_stopped(clinic):
    refusals = []

    def send_back(message):
        with clinic.say() as client:
            client.envelope("a@partner.example", "nurse@clinic.example")
            answer = client.data(b"Received: by far.example; Mon, 2 Nov 2026 08:15:00 +0100\r\n" + message)
            if not answer.startswith("250"):
                refusals.append(answer)

    send_back(b"Subject: circling\r\n\r\nx\r\n")
    rounds = 0
    while not refusals and rounds < 100:
        rounds += 1
        found = wait_until(lambda: [m for m in list(clinic.inside.messages) if b"circling" in m.data][rounds - 1:],
                           "the letter")
        send_back(found[0].data)
    assert refusals and refusals[0].startswith("554 5.4.6") and rounds < 100

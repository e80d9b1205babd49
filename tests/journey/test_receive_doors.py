# SPDX-License-Identifier: ISC
"""Doors of other kinds: IPv6, every address at once, several organisations, rules that refuse, and
counts that are full."""

import socket

import pytest
from conftest import POLICY, wait_until
from lab.client import Client
from lab.processes import free_port
from receiving import LETTER, RULES, STAFF, Clinic, HandTls, everything, is_silent, send_all

BIG = (b"x" * 998 + b"\r\n") * 70
HAS_IPV6 = True
try:
    socket.create_server(("::1", 0), family=socket.AF_INET6).close()
except OSError:
    HAS_IPV6 = False


def codes(lines):
    return [line[:9] for line in lines]


# ---- addresses ----

@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
def test_ipv6_clients_are_served_traced_and_trusted_by_their_own_network(internet):
    template = STAFF.replace('laboratory "127.0.0.0/8" port {mx}\n', "").replace(
        'relay port {relay} on "127.0.0.1" trusting network "127.0.0.0/8"',
        'relay port {relay} trusting network "127.0.0.0/8"').replace(
        'smtp port {smtp} on "127.0.0.1"', 'smtp port {smtp}')
    inside = internet.inside()
    ports = {**internet.ports, "six": free_port()}
    internet.start(f'listen relay port {ports["six"]} on "::1" trusting network "::1"\n{RULES}', template=template)
    for source, address, literal in (("::1", "::1", b"([IPv6:::1])"), ("127.0.0.7", "127.0.0.1", b"([127.0.0.7])")):
        with Client(ports["smtp"], address=address, source=source) as client:
            client.hello()
            client.envelope("a@partner.example", "nurse@clinic.example")
            assert client.ask("RCPT TO:<x@elsewhere.example>").startswith("550 5.7.1")
            assert client.data(LETTER).startswith("250")
        wait_until(lambda: any(literal in m.data.replace(b"\r\n ", b" ") for m in list(inside.messages)), literal)
    for port, address, wanted in (("relay", "127.0.0.1", "250"), ("relay", "::1", "530 5.7.0"), ("six", "::1", "250")):
        with Client(ports[port], address=address) as client:
            client.hello()
            assert client.ask("MAIL FROM:<nurse@clinic.example>").startswith(wanted), (port, address)
    with pytest.raises(OSError):
        Client(ports["six"], address="127.0.0.1", timeout=2)


# ---- organisations ----

def test_recipients_of_many_organisations_get_a_message_each_and_too_many_come_again(internet):
    lmtp = f'to lmtp "127.0.0.1 port {internet.ports["lmtp"]}"'
    sections = "\n".join(f'organisation "House {n}" {{ domains "house{n}.example" route "house{n}.example" {lmtp} '
                         'send "all" by { tls encrypt, return } }' for n in range(10))
    inside = internet.inside()
    internet.start(RULES + "\n" + sections)
    with internet.client("smtp") as client:
        client.hello()
        client.envelope("a@partner.example")
        answers = [client.ask(f"RCPT TO:<x@house{n}.example>")[:9] for n in range(10)]
        assert answers == ["250 2.1.5"] * 8 + ["452 4.5.3"] * 2
        assert client.ask("RCPT TO:<y@house0.example>").startswith("250")
        answer = client.data(b"Subject: to-many-houses\r\n\r\nx\r\n")
        assert answer.startswith("250 2.0.0")
        ids = [word for word in answer.split() if len(word) == 26]
        assert len(set(ids)) == 8
        client.envelope("a@partner.example", "x@house8.example", "x@house9.example")
        assert client.data(b"Subject: to-many-houses\r\n\r\nx\r\n").startswith("250")

    def recipients():
        return sorted(r for m in list(inside.messages) for r in m.recipients)

    wanted = sorted([f"x@house{n}.example" for n in range(10)] + ["y@house0.example"])
    wait_until(lambda: recipients() == wanted, "one each")
    for message in inside.messages:
        assert len({r.split("@")[1] for r in message.recipients}) == 1
        assert not any(f"house{n}.example".encode() in message.data for n in range(10))
    for identity in ids:
        assert "house" in internet.trace(identity)


def test_one_organisation_may_not_be_written_in_the_name_of_from_outside(internet):
    section = (f'organisation "House" {{ domains "house.example" route "house.example" to lmtp '
               f'"127.0.0.1 port {internet.ports["lmtp"]}" send "all" by {{ tls encrypt, return }} }}')
    internet.inside()
    internet.start(RULES + "\n" + section)
    with internet.client("smtp") as client:
        client.hello()
        for sender in ("boss@house.example", "nurse@clinic.example"):
            assert client.ask(f"MAIL FROM:<{sender}>").startswith("550 5.7.1")


# ---- rules that refuse ----

def test_a_message_refused_for_all_is_refused_at_once_and_for_some_by_a_report(internet):
    clinic = Clinic(internet, rules='refuse "not to them" when to "elsewhere.example"\n'
                                    'refuse "no chain letters" when subject has "chain" and recipients over 1\n'
                                    'refuse "too big for us" when size over 64 KB\n' + RULES)
    with clinic.say("relay") as client:
        client.envelope("nurse@clinic.example", "x@elsewhere.example")
        answer = client.data(LETTER)
        assert answer.startswith("550 5.7.1") and "not to them" in answer
        client.envelope("nurse@clinic.example", "a@partner.example", "b@partner.example")
        assert "no chain letters" in client.data(b"Subject: =?utf-8?q?a_chai?=\r\n =?utf-8?q?n?=\r\n\r\nx\r\n")
        client.envelope("nurse@clinic.example", "a@partner.example")
        assert client.data(b"Subject: a chain\r\n\r\nx\r\n").startswith("250")
        client.envelope("nurse@clinic.example", "a@partner.example")
        assert "too big for us" in client.data(LETTER + BIG)
        client.envelope("nurse@clinic.example", "a@partner.example", "x@elsewhere.example")
        assert client.data(b"Subject: to-some\r\n\r\nsecret words\r\n").startswith("250")
    assert clinic.received(clinic.data, b"to-some").recipients == ["a@partner.example"]
    report = clinic.received(clinic.inside, b"Action: failed")
    assert report.sender == "" and b"x@elsewhere.example" in report.data and b"secret words" not in report.data
    assert b"to-some" not in report.data
    # From outside the same rules hold inwards.
    with clinic.say() as client:
        client.envelope("a@partner.example", "nurse@clinic.example")
        assert "too big for us" in client.data(LETTER + BIG)
    clinic.steady()


# ---- counts ----

@pytest.fixture(scope="module")
def narrow(shared_internet):
    made = Clinic(shared_internet, {"receive.sessions_max": 6, "receive.active_max": 2, "receive.messages_max": 3,
                                    "receive.commands_max": 40, "receive.command_timeout_ms": 800,
                                    "receive.recipients_max": 3,
                                    "receive.errors_max": 4, "receive.session_total_ms": 4000}, POLICY)
    yield made
    made.steady()


def test_sessions_beyond_the_count_are_sent_away_politely(narrow):
    crowd = [narrow.say(source=f"127.0.0.{n + 2}") for n in range(6)]
    with narrow.internet.client("smtp", source="127.0.0.20") as client:
        assert codes(everything(client)) == ["421 4.3.2"]
    with narrow.internet.client("submissions", source="127.0.0.20") as client:
        assert everything(client) == []  # before TLS there is no word to say
    for client in crowd:
        client.close()

    def is_served():
        with narrow.internet.client("smtp") as client:
            return client.reply().startswith("220")

    wait_until(is_served, "room again")


def test_transactions_beyond_the_count_wait_and_get_their_turn(narrow):
    with narrow.say() as one, narrow.say() as two, narrow.say() as three:
        for client in (one, two):
            assert client.ask("MAIL FROM:<a@partner.example>").startswith("250")
        assert three.ask("MAIL FROM:<a@partner.example>").startswith("452 4.3.1")
        assert one.ask("RSET").startswith("250")
        three.envelope("a@partner.example", "nurse@clinic.example")
        assert one.ask("MAIL FROM:<a@partner.example>").startswith("452 4.3.1")
        assert three.data(LETTER).startswith("250")
        assert one.ask("MAIL FROM:<a@partner.example>").startswith("250")
        for client in (one, two):  # or they count until it is noticed that they left
            assert client.ask("RSET").startswith("250")


def test_recipients_beyond_the_count_come_again(narrow):
    with narrow.say() as client:
        client.envelope("a@partner.example", *[f"n{n}@clinic.example" for n in range(3)])
        assert client.ask("RCPT TO:<n3@clinic.example>").startswith("452 4.5.3")
        assert client.ask("RCPT TO:<n0@clinic.example>").startswith("250")
        assert client.data(LETTER).startswith("250")


def test_messages_and_commands_and_errors_beyond_the_count_end_the_session(narrow):
    with narrow.say() as client:
        for _ in range(3):
            client.envelope("a@partner.example", "nurse@clinic.example")
            assert client.data(LETTER).startswith("250")
        assert client.ask("MAIL FROM:<a@partner.example>").startswith("421 4.7.0")
        assert client.is_closed()
    with narrow.say() as client:
        client.send("NOOP\r\n" * 60)
        answers = codes(everything(client))
        assert answers == ["250 2.0.0"] * 39 + ["421 4.7.0"]
    with narrow.say() as client:
        client.send("WHAT\r\n" * 60)
        assert codes(everything(client)) == ["500 5.5.2"] * 4 + ["421 4.7.0"]


def test_silence_between_commands_ends_the_session_with_421_once(narrow):
    for begin in ("", "NOO", "MAIL FROM:<a@partner.example>\r\nRCPT TO:<nurse@clinic.example>\r\n"):
        with narrow.say() as client:
            client.send(begin)
            answers = codes(everything(client))
            assert answers[-1] == "421 4.4.2" and len(answers) == 1 + begin.count("\n")


def test_a_command_that_trickles_in_ends_at_its_deadline(narrow):
    with narrow.say() as client:
        for _ in range(100):
            try:
                client.send("N")
            except ConnectionError:
                break
            if not is_silent(client, 0.1):
                break
        assert codes(everything(client)) == ["421 4.4.2"]


def test_a_session_that_never_ends_is_ended(narrow):
    with narrow.say() as client:
        answers = []
        while not answers or answers[-1].startswith("250"):
            answers.append(client.ask("NOOP") if is_silent(client, 0.3) else client.reply())
            assert len(answers) < 39
        assert answers[-1].startswith("421 4.4.2") and client.is_closed()


# ---- who does not read ----

@pytest.mark.parametrize("tls", [False, True])
def test_a_client_that_never_reads_its_replies_is_let_go(internet, tls):
    clinic = Clinic(internet, {"receive.command_timeout_ms": 500}, POLICY)
    before = clinic.memory()
    with clinic.internet.client("smtp") as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.hello(tls=tls)
        client.socket.settimeout(30)
        sent = 0
        while sent < 400 << 20 and send_all(client, b"HELP\r\n" * 10000):
            sent += 60000
        assert sent < 400 << 20
        assert clinic.memory() - before < 2048
    clinic.steady()


def test_a_handshake_that_trickles_in_ends_at_its_deadline(internet):
    clinic = Clinic(internet, {"receive.handshake_timeout_ms": 500}, POLICY)
    with clinic.say() as client:
        assert client.ask("STARTTLS").startswith("220")
        for octet in HandTls(client).hello():
            if not send_all(client, bytes([octet])) or not is_silent(client, 0.02):
                break
        else:
            raise AssertionError("the whole handshake was waited for")
    clinic.steady()


def test_half_a_message_a_session_from_many_sessions_is_taken_when_it_is_whole(internet):
    clinic = Clinic(internet, {"receive.sessions_per_address": 1000}, POLICY)
    clients = [clinic.say() for _ in range(120)]
    for number, client in enumerate(clients):
        client.send("MAIL FROM:<a@partner.example>\r\nRCPT TO:<nurse@clinic.example>\r\n"
                    f"DATA\r\nSubject: one-of-many-{number}-\r\n")
    for client in reversed(clients):
        client.send("\r\nx\r\n.\r\nQUIT\r\n")
    for client in clients:
        assert codes(everything(client)) == ["250 2.1.0", "250 2.1.5", "354 Go on", "250 2.0.0", "221 2.0.0"]
    wait_until(lambda: sum(b"one-of-many-" in m.data for m in list(clinic.inside.messages)) == 120, "all of them")
    clinic.steady()

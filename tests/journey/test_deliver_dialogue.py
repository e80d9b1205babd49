# SPDX-License-Identifier: ISC
"""What we say to a peer, octet by octet, how sessions are shared, and what becomes of some recipients among many."""

import hashlib
import re
import select
import socket
import struct
import threading
import time

import pytest

from conftest import wait_until
from sending import NURSE, Outside

RULES = """\
send "verified" when to ".verified.example" by { tls verify, hold }
send "pinned" when to ".pinned.example" by { tls secure named "mx.shared.example", hold }
send "all" by { tls encrypt, return }"""
PLAIN = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES")
DOTS = b"Subject: dots\r\n\r\n.leading\r\n.\r\n..two\r\n.a\r\nb\r\n...\r\n"


@pytest.fixture(scope="module")
def world(shared_internet):
    return Outside(shared_internet).start(RULES, {"deliver.idle_session_ms": 1000, "deliver.final_timeout_ms": 6000,
                                                  "deliver.command_timeout_ms": 6000, "deliver.lease_ms": 3000})


def below_received(data):
    return re.sub(rb"\AReceived: [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", b"", data, count=1)


def send_many(world, recipients, text=b"Subject: x\r\n\r\nx\r\n"):
    """One letter to each, on one connection."""
    with world.internet.client("relay") as client:
        client.hello()
        for recipient in recipients:
            client.envelope(NURSE, recipient)
            answer = client.data(text)
            assert answer.startswith("250"), answer
            world.sent[recipient] = next(w for w in answer.replace(":", " ").split() if len(w) == 26)


def arrived(servers):
    return sorted(r for server in servers for m in list(server.messages) for r in m.recipients)


# ---- bytes ----

@pytest.mark.parametrize("extensions", [PLAIN, (*PLAIN, "CHUNKING"), ("8BITMIME",), ()],
                         ids=["pipelined", "in chunks", "in steps", "with nothing offered"])
def test_dots_arrive_as_they_were_whatever_the_peer_offers(world, extensions, request):
    domain = f"dots{request.node.callspec.indices['extensions']}.example"
    server = world.domain(domain, extensions=extensions)
    world.send(f"a@{domain}", text=DOTS)
    server.wait_for(1)
    assert below_received(server.messages[0].data) == DOTS
    lines = server.sessions[-1].lines
    if "CHUNKING" in extensions:
        sizes = [int(line.split()[1]) for line in lines if line.startswith("BDAT")]
        assert sum(sizes) == len(server.messages[0].data) and "DATA" not in lines
    else:
        assert "DATA" in lines


def test_a_nul_passes_whole_or_not_at_all(world):
    server = world.domain("nul.example", extensions=PLAIN)
    with world.internet.client("relay") as client:
        client.hello()
        client.envelope(NURSE, "a@nul.example")
        answer = client.data(b"Subject: n\r\n\r\nab\x00cd\r\nNEXT\r\n")
    if answer.startswith("250"):
        server.wait_for(1)
        assert below_received(server.messages[0].data) == b"Subject: n\r\n\r\nab\x00cd\r\nNEXT\r\n"
    else:
        assert answer.startswith(("550 5.6.0", "554 5.6.0")), answer


def test_eight_bits_are_declared_and_seven_are_not(world):
    server = world.domain("eight.example", extensions=PLAIN)
    eight = "Subject: x\r\n\r\nGr\u00fc\u00dfe\r\n".encode()
    world.send("a@eight.example", text=eight)
    world.send("b@eight.example")
    server.wait_for(2)
    by = {m.recipients[0]: m for m in server.messages}
    assert "BODY=8BITMIME" in by["a@eight.example"].mail_line
    assert "8BITMIME" not in by["b@eight.example"].mail_line
    assert hashlib.sha256(below_received(by["a@eight.example"].data)).digest() == hashlib.sha256(eight).digest()


def test_a_flag_in_any_case_is_understood_and_only_what_is_needed_is_said_onward(world):
    server = world.domain("flags.example", extensions=PLAIN)
    with world.internet.client("relay") as client:
        client.hello()
        assert client.ask(f"mail from:<{NURSE}> body=8bitMIME size=10").startswith("250")
        assert client.ask("RSET").startswith("250")
        assert client.ask(f"MAIL FROM:<{NURSE}> BODY=9BIT").startswith("501 5.5.4")
        assert client.ask(f"MAIL FROM:<{NURSE}> SMTPUTF8").startswith("555 5.5.4")  # not offered yet
        client.envelope(NURSE, "a@flags.example", parameters=" body=8bitmime")
        assert client.data(b"Subject: x\r\n\r\nascii\r\n").startswith("250")
    server.wait_for(1)
    assert server.messages[0].mail_line == f"MAIL FROM:<{NURSE}>"


def test_addresses_go_out_with_the_quotes_that_they_need(world):
    server = world.domain("quoted.example", extensions=PLAIN)
    for recipient in ('"a b"@quoted.example', r'"x\"y@z"@quoted.example', '"foo> ORCPT=x"@quoted.example'):
        with world.internet.client("relay") as client:
            client.hello()
            client.envelope('"my self"@clinic.example', recipient)
            assert client.data(b"Subject: x\r\n\r\nx\r\n").startswith("250")
        wait_until(lambda: f"RCPT TO:<{recipient}>" in [line for s in server.sessions for line in s.lines],
                   f"a letter to {recipient}")
    assert server.wait_for(3)[0].mail_line.startswith('MAIL FROM:<"my self"@clinic.example>')


# ---- replies ----

def test_the_reply_to_a_pipelined_mail_is_the_one_that_counts(world):
    server = world.domain("blocked.example", extensions=PLAIN, answers={"MAIL": "550 5.7.1 sender blocked"})
    message = world.send("a@blocked.example", "b@blocked.example")
    for who in "ab":
        assert world.until(f"{who}@blocked.example", "returned")["status"] == "5.7.1"
    report = world.report(message)
    assert report.count("Diagnostic-Code: smtp; 550 5.7.1 sender blocked") == 2 and "503" not in report
    assert [line.split()[0] for line in server.sessions[0].lines if line[:4] in ("MAIL", "RCPT", "DATA")] == \
        ["MAIL", "RCPT", "RCPT", "DATA"]


ODD = {
    "a greeting of two lines without text": ({"GREETING": b"220-a\r\n220\r\n"}, "delivered"),
    "250 without text": ({"MAIL": b"250\r\n", "RCPT": b"250\r\n", "END": "250"}, "delivered"),
    "something unasked behind the greeting": ({"GREETING": b"220 hi\r\n521 5.7.1 blocked\r\n"}, "waiting"),
    "a greeting of two minds": ({"GREETING": b"220-a\r\n521 5.7.1 no\r\n"}, "waiting"),
    "a reply of two minds": ({"RCPT": b"250-yes\r\n550 5.1.1 no\r\n"}, "returned"),
    "lines without a code in EHLO": ({"EHLO": b"250 x\r\nSIZE\r\n"}, "waiting"),
    "something unasked behind a reply": ({"MAIL": b"250 ok\r\n250 ok\r\n"}, None),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_replies_are_read_and_lying_ones_are_not_trusted(world, name):
    answers, state = ODD[name]
    domain = "".join(c if c.isalnum() else "-" for c in name.lower()) + ".odd.example"
    server = world.domain(domain, answers=answers, extensions=("8BITMIME",))
    world.send(f"a@{domain}")
    found = world.settle([f"a@{domain}"])[f"a@{domain}"]
    if state:
        assert found["state"] == state, found
    if found["state"] == "delivered":
        assert len(server.messages) == 1


def test_a_text_that_nobody_should_get_is_not_sent_though_the_peer_waits_for_it(world):
    server = world.domain("waits.example", extensions=PLAIN,
                          answers={"RCPT": "550 5.1.1 nobody", "DATA-REFUSED": "354 go"})
    world.send("a@waits.example", text=DOTS)
    assert world.until("a@waits.example", "returned")["status"] == "5.1.1"
    assert not any(b"Subject" in s.sealed for s in server.sessions)


@pytest.mark.parametrize("extensions,verb", [
    (("size 0",), "DATA"), (("SIZE",), "DATA"), (("SIZE -1",), "DATA"), (("SIZE 99999999999999999999999999",), "DATA"),
    (("SIZE one",), "DATA"), (("chunking", "8bitmime"), "BDAT"), (("CHUNKING now",), "BDAT"), (("XCHUNKING",), "DATA"),
    (("CHUNKING=",), "DATA"), (("X" * 400,), "DATA"), (tuple(f"X-{i}" for i in range(100)), "DATA")],
    ids=lambda value: None)
def test_what_a_peer_offers_is_read_with_care(world, extensions, verb, request):
    domain = f"offers{request.node.callspec.id.strip('-').replace('_', '-')}.example".lower()
    server = world.domain(domain, extensions=extensions)
    world.send(f"a@{domain}")
    server.wait_for(1)
    assert any(line.startswith(verb) for line in server.sessions[0].lines)


@pytest.mark.parametrize("end", ["a reply", "a reset"])
def test_a_peer_that_ends_in_the_middle_of_our_data_defers_the_letter(world, end):
    domain = f"{end.replace(' ', '-')}.middle.example"

    def stop(server, session, line):
        session.send("354 go")
        while len(session.buffer) < 100000:
            session.receive()
        if end == "a reply":
            session.send("421 4.4.2 data timeout")
        else:
            session.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return "CLOSE"
    server = world.domain(domain, extensions=PLAIN, answers={"DATA": stop})
    message = world.send(f"a@{domain}", text=b"Subject: x\r\n\r\n" + (b"y" * 70 + b"\r\n") * 17000)
    found = world.until(f"a@{domain}", "waiting", attempts=1)
    trace = " ".join(world.internet.trace(message).split())
    if end == "a reply":
        assert found["status"] == "4.4.2" and "data timeout" in trace
    assert trace.count("Attempt 1") == 1 and "Attempt 2" not in trace
    server.answers.clear()
    world.gateway.command("queue", "retry", message, check=True)
    server.wait_for(1)
    assert len(server.messages) == 1


@pytest.mark.parametrize("reply", ["452 4.5.3 too many", "552 5.5.3 too many", "452 too many"])
def test_too_many_recipients_are_for_the_next_transaction(world, reply, request):
    domain = f"many{request.node.callspec.indices['reply']}.example"

    def limit(server, session, line):
        return reply if len(session.recipients) >= 30 else None
    server = world.domain(domain, extensions=PLAIN, answers={"RCPT": limit})
    recipients = [f"a{i}@{domain}" for i in range(45)]
    message = world.send(*recipients)
    wait_until(lambda: len(arrived([server])) >= 45, "all recipients")
    assert arrived([server]) == sorted(recipients)
    assert sorted(len(m.recipients) for m in server.messages) == [15, 30]
    wait_until(lambda: world.internet.trace(message).count("delivered.") == 45, "all are delivered")
    assert world.deliveries()[recipients[-1]]["attempts"] == 1
    assert not world.reports(message)


def test_more_recipients_than_fit_go_in_several_transactions(world):
    server = world.domain("crowd.example")
    world.send(*(f"a{i}@crowd.example" for i in range(100)))
    wait_until(lambda: len(arrived([server])) == 100, "all recipients")
    assert all(len(m.recipients) <= 100 for m in server.messages)


def test_who_was_served_by_one_host_is_not_offered_to_the_next(world):
    first = world.host("mx1.half.example", extensions=PLAIN,
                       answers={"RCPT": lambda s, c, l: "451 4.2.0 later" if "r2@" in l else None, "QUIT": "CLOSE"})
    second = world.host("mx2.half.example", extensions=PLAIN)
    world.names.set("half.example", "MX", "10 mx1.half.example.", "20 mx2.half.example.")
    world.send("r1@half.example", "r2@half.example")
    second.wait_for(1)
    world.until("r2@half.example", "delivered")
    assert arrived([first]) == ["r1@half.example"] and arrived([second]) == ["r2@half.example"]
    assert not any("r1@" in line for s in second.sessions for line in s.lines)


# ---- LMTP ----

def test_lmtp_gives_each_recipient_his_own_reply_and_all_are_read(world):
    verdicts = {"b@clinic.example": "452 4.2.2 quota", "c@clinic.example": "550 5.2.1 disabled"}
    world.inside.answers["END"] = lambda server, session, who: verdicts.get(who)
    try:
        before = len(world.inside.sessions)
        message = world.send("a@clinic.example", "b@clinic.example", "c@clinic.example")
        world.send("d@clinic.example")
        world.until("a@clinic.example", "delivered")
        world.until("b@clinic.example", "waiting", attempts=1)
        assert world.until("c@clinic.example", "returned")["status"] == "5.2.1"
        world.until("d@clinic.example", "delivered")
        verdicts.clear()
        world.gateway.command("queue", "retry", message + "/2", check=True)
        world.until("b@clinic.example", "delivered")
        mine = [m.recipients for m in world.inside.messages if m.sender == NURSE]
        assert sorted(r for m in mine for r in m if r[0] in "abcd") == [f"{w}@clinic.example" for w in "abd"]
        assert len(world.inside.sessions) > before - 1
    finally:
        world.inside.answers.clear()


def test_a_peer_that_closes_after_some_lmtp_replies_leaves_the_others_unknown(world):
    count = []

    def two_replies(server, session, who):
        count.append(who)
        return "CLOSE" if who == "z@clinic.example" and len(count) <= 3 else None
    world.inside.answers["END"] = two_replies
    try:
        message = world.send("x@clinic.example", "y@clinic.example", "z@clinic.example")
        for who in "xy":
            world.until(f"{who}@clinic.example", "delivered")
        world.until("z@clinic.example", "waiting", attempts=1)
        world.gateway.command("queue", "retry", message, check=False)
        world.until("z@clinic.example", "delivered")
        assert [m.recipients for m in world.inside.messages if m.recipients == ["z@clinic.example"]]
    finally:
        world.inside.answers.clear()


@pytest.mark.parametrize("reply,state", [("550 5.7.1 no", "returned"), ("552 1 mailbox not found", "returned"),
                                         ("450 5.1.1 odd", "waiting")])
def test_5yz_is_final_in_lmtp_too(world, reply, state):
    world.inside.answers["END"] = lambda server, session, who: reply if who.startswith("lmtp-") else None
    try:
        who = f"lmtp-{reply[:3]}@clinic.example"
        world.send(who)
        assert world.until(who, state, attempts=1)
    finally:
        world.inside.answers.clear()


# ---- sessions ----

def test_domains_of_one_host_share_a_session_only_where_the_demand_is_the_same(world):
    server = world.host("mx.shared.example", certificate="good")
    domains = ["one.verified.example", "two.verified.example", "one.pinned.example", "plain-shared.example"]
    for domain in domains:
        world.names.set(domain, "MX", "10 mx.shared.example.")
    for turn in range(3):
        for domain in domains:
            world.send(f"a{turn}@{domain}")
    server.wait_for(12)
    for session in server.sessions:
        asked = {re.search(r"@([a-z.-]+)>", line).group(1) for line in session.lines if line.startswith("RCPT")}
        assert len(asked) <= 1, asked  # the policy is that of the domain, whoever has its mail


def test_a_peer_that_fits_one_demand_does_not_get_the_letters_of_a_stricter_one(world):
    server = world.host("mx.loose.example")  # any certificate
    for domain in ("loose.verified.example", "loose.pinned.example", "loose.example"):
        world.names.set(domain, "MX", "10 mx.loose.example.")
    world.send("a@loose.example")
    server.wait_for(1)
    for domain in ("loose.verified.example", "loose.pinned.example"):
        world.send(f"a@{domain}")
        world.until(f"a@{domain}", "held")
    world.send("b@loose.example")
    server.wait_for(2)
    assert arrived([server]) == ["a@loose.example", "b@loose.example"]


def test_a_session_is_used_again_and_given_back_when_idle(world):
    server = world.domain("kept.example")
    for i in range(6):
        world.send(f"a{i}@kept.example")
        server.wait_for(i + 1)
    assert len(server.sessions) < 6
    wait_until(lambda: all(s.lines and s.lines[-1] == "QUIT" for s in server.sessions), "each is ended by QUIT")
    world.send("again@kept.example")
    server.wait_for(7)


@pytest.mark.parametrize("last_word", [b"", b"421 4.4.2 idle too long\r\n"], ids=["silently", "with a 421"])
def test_a_kept_session_that_the_peer_ends_costs_the_next_letter_nothing(world, last_word, request):
    domain = f"ended{request.node.callspec.indices['last_word']}.example"

    def end(server, session, line):
        session.send("250 2.0.0 taken")
        if last_word:
            session.send(last_word)
        return "CLOSE"
    server = world.domain(domain, answers={"END": end})
    for i in range(4):
        recipient = f"a{i}@{domain}"
        world.send(recipient)
        assert world.until(recipient, "delivered")["attempts"] == 1
    assert sum(s.sealed.count(b"RCPT") for s in server.sessions) == 4


def test_idle_sessions_never_fill_a_peer_that_allows_few(world):
    open_now, peak, lock = set(), [], threading.Lock()

    def greet(server, session, line):
        with lock:
            open_now.add(session)
            peak.append(sum(1 for s in open_now if s.connection.fileno() >= 0))
        return "421 4.7.0 too many" if peak[-1] > 10 else None
    server = world.domain("few.example", answers={"GREETING": greet})
    for i in range(11):
        world.send(f"a{i}@few.example")
        time.sleep(0.05)
    server.wait_for(11)
    assert max(peak) <= 10


@pytest.mark.parametrize("kind", ["421 to MAIL", "452 to RCPT"])
def test_a_limit_of_letters_a_session_is_met_by_a_new_session(world, kind):
    domain = f"limit{kind[:3]}.example"

    def limit(server, session, line):
        served = sum(1 for told in session.lines if told.startswith("MAIL")) - 1
        if served < 2:
            return None
        return "421 4.7.0 maximum reached" if kind.startswith("421") else "452 4.4.5 enough"
    server = world.domain(domain, answers={kind.split()[-1]: limit}, extensions=PLAIN)
    recipients = [f"a{i}@{domain}" for i in range(10)]
    send_many(world, recipients)
    server.wait_for(10)
    found = world.settle(recipients)
    for recipient in recipients:
        assert found[recipient]["attempts"] == 1
    assert arrived([server]) == sorted(recipients)
    assert not any("503" in str(m) for m in found.values())


def test_no_letter_begins_before_rset_is_answered(world):
    early = []

    def slow(server, session, line):
        time.sleep(0.7)
        early.append(session.buffer or session.connection.pending() or
                     select.select([session.connection], [], [], 0)[0])
    server = world.domain("rset.example", extensions=("8BITMIME",), answers={
        "RSET": slow, "RCPT": lambda s, c, l: "550 5.1.1 no" if "no@" in l else None})
    world.names.set("rset2.example", "MX", "10 mx.rset.example.")
    world.send("no@rset.example")
    wait_until(lambda: any("RSET" in s.lines for s in server.sessions), "a reset")
    for who in ("b@rset.example", "c@rset.example", "d@rset2.example"):
        world.send(who)
    server.wait_for(3)
    wait_until(lambda: early, "the reply to the reset")
    assert not any(early)
    assert len(arrived([server])) == 3


def test_a_slow_reply_to_the_last_dot_keeps_its_claim(world):
    """The lease is three seconds here."""
    server = world.domain("slow.example", answers={"END": lambda s, c, l: time.sleep(4.5)})
    world.send("a@slow.example")
    world.until("a@slow.example", "delivered")
    assert len(server.messages) == 1 and sum(s.sealed.count(b"RCPT") for s in server.sessions) == 1


# ---- many ----

def test_a_host_that_says_nothing_costs_one_timeout_for_all(world):
    silent = world.host("mx1.mute.example", answers={"GREETING": "SILENCE"})
    good = world.host("mx2.mute.example")
    world.names.set("mute.example", "MX", "10 mx1.mute.example.", "20 mx2.mute.example.")
    recipients = [f"a{i}@mute.example" for i in range(50)]
    send_many(world, recipients)
    good.wait_for(50)
    assert arrived([good]) == sorted(recipients)
    assert len(silent.sessions) <= 8  # those under way when it was found out; nobody waits again
    assert all(delivery["attempts"] == 1 for who, delivery in world.deliveries().items() if who in recipients)


@pytest.mark.parametrize("count", [400, pytest.param(10000, marks=pytest.mark.long)])
def test_a_dead_destination_does_not_hold_up_the_living(world, count):
    """A listener whose queue is full drops what comes, as a dead line does."""
    address = world.address()
    hole = socket.socket()
    hole.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    hole.bind((address, world.internet.ports["mx"]))
    hole.listen(0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        try:
            filler.connect((address, world.internet.ports["mx"]))
        except BlockingIOError:
            pass
        fillers.append(filler)
    world.names.set("mx.dead.example", "A", address)
    world.names.set("dead.example", "MX", "10 mx.dead.example.")
    live = world.domain(f"live{count}.example")
    send_many(world, [f"a{i}@dead.example" for i in range(count)])
    began = world.gateway.command("queue", "destinations", check=True).stdout
    send_many(world, [f"a{i}@live{count}.example" for i in range(10)])
    live.wait_for(10, seconds=10)
    wait_until(lambda: "dead.example" in world.gateway.command("queue", "destinations").stdout, "it is put off", 20)
    tried = [d for who, d in world.deliveries().items() if who.endswith("@dead.example") and d["attempts"]]
    assert len(tried) <= 60, (len(tried), began)  # the rest is put off as a group
    hole.close()
    for filler in fillers:
        filler.close()


def test_nothing_was_said_in_the_clear_and_nobody_died(world):
    world.assert_nothing_in_clear()
    assert world.gateway.roles() == world.pids
    world.steady()

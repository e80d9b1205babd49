# SPDX-License-Identifier: ISC
"""Every wrong reply in every state: what becomes of the letter, alone and where a second host is there, and that
nothing of it is ever said outside TLS."""

import time

import pytest

from sending import Outside, assert_no_command, flood, in_clear, under_tls

RULES = """\
send "patient" when to ".held.example" by { tls encrypt for 3 days, hold }
send "pairs"   when to ".pair.example" by { tls encrypt for 3 days, hold }
send "all" by { tls encrypt, return }"""


def drip(server, session, line):
    """An octet now and then: each is in time, all of them are not."""
    for _ in range(100):
        session.connection.sendall(b"2")
        time.sleep(0.2)
    return "CLOSE"


# A way to answer: what is said, given the code that would be right.
KINDS = {
    "a wrong 2yz": "250 hello",
    "a 3yz": "334 what",
    "a 4yz": "451 4.3.0 later",
    "a 5yz": "550 5.7.1 never",
    "garbage": "hello world",
    "two digits": "25",
    "a code beyond all": "999 x",
    "no reply at all": "SILENCE",
    "a closed line": "CLOSE",
    "a reply without end": flood(b"250-again\r\n"),
    "a line of 10 MB": flood(b"250 " + b"x" * 65532),
    "a line that ends in LF": b"250 hello\n",
    "a drip without end": drip,
    "half a line": lambda server, session, line: session.send(b"25") or "CLOSE",
}
WAITS, HELD, RETURNED, DELIVERED = "waiting", "held", "returned", "delivered"
# What becomes of a letter by { tls encrypt for 3 days, hold } where this state is answered so; the rest waits.
STATES = {
    "GREETING": {},
    "EHLO": {"a wrong 2yz": HELD, "a 5yz": HELD},
    "STARTTLS": {"a wrong 2yz": HELD, "a 3yz": HELD, "a 5yz": HELD},
    "EHLO within TLS": {"a wrong 2yz": DELIVERED, "a 5yz": RETURNED},
    "MAIL": {"a wrong 2yz": DELIVERED, "a 5yz": RETURNED},
    "RCPT": {"a wrong 2yz": DELIVERED, "a 5yz": RETURNED},
    "DATA": {"a 5yz": RETURNED},
    "END": {"a wrong 2yz": DELIVERED, "a 5yz": RETURNED},
}
DUPLICATE = "may arrive twice"


def rows():
    return [(state, kind) for state in STATES for kind in KINDS]


def name_of(state, kind):
    return f"{state} {kind}".lower().replace(" ", "-")


def answers_of(state, kind):
    answer = KINDS[kind]
    if state == "EHLO":
        answer = answer if callable(answer) else in_clear(answer)
    if state == "EHLO within TLS":
        return {"EHLO": (lambda s, c, l: answer(s, c, l) if c.tls else None) if callable(answer)
                else under_tls(answer)}
    return {state: answer}


@pytest.fixture(scope="module")
def world(shared_internet):
    """All peers of the table at once, a letter to each: each test looks at its own."""
    outside = Outside(shared_internet)
    outside.bad, outside.first, outside.second = {}, {}, {}
    extensions = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES")  # DATA is one of the states
    for state, kind in rows():
        name = name_of(state, kind)
        outside.bad[name] = outside.domain(f"{name}.held.example", answers=answers_of(state, kind),
                                           extensions=extensions)
        outside.first[name] = outside.domain(f"{name}.pair.example", answers=answers_of(state, kind),
                                             extensions=extensions)
        outside.second[name] = outside.host(f"mx2.{name}.pair.example")
        outside.names.set(f"{name}.pair.example", "MX", f"20 mx2.{name}.pair.example.",
                          f"10 mx.{name}.pair.example.")
    outside.start(RULES)
    recipients = [f"a@{name_of(*row)}.{kind}.example" for row in rows() for kind in ("held", "pair")]
    for recipient in recipients:
        outside.send(recipient)
    outside.found = outside.settle(recipients, 90)
    return outside


@pytest.mark.parametrize("state,kind", rows(), ids=lambda value: value)
def test_a_wrong_reply_has_its_row_in_the_table_of_outcomes(world, state, kind):
    name = name_of(state, kind)
    delivery = world.found[f"a@{name}.held.example"]
    assert delivery["state"] == STATES[state].get(kind, WAITS), delivery
    if state != "END":  # what was said there came after the message
        assert len(world.bad[name].messages) == (delivery["state"] == DELIVERED)
    for session in world.bad[name].sessions:
        assert_no_command(session)


@pytest.mark.parametrize("state,kind", rows(), ids=lambda value: value)
def test_only_an_end_or_a_possible_duplicate_keeps_the_next_host_from_being_asked(world, state, kind):
    name = name_of(state, kind)
    delivery = world.found[f"a@{name}.pair.example"]
    ends = STATES[state].get(kind) in (RETURNED, DELIVERED)
    may_be_duplicate = state == "END" and kind not in ("a 4yz", "a 5yz", "a wrong 2yz", "a 3yz")
    if ends:
        assert delivery["state"] == STATES[state][kind], delivery
        assert not world.second[name].messages
    elif may_be_duplicate:
        assert delivery["state"] == WAITS, delivery
        assert not world.second[name].messages
        assert DUPLICATE in " ".join(world.internet.trace(delivery["message"]).split())
    else:
        assert delivery["state"] == DELIVERED, delivery
        assert len(world.second[name].messages) == 1
        assert world.second[name].messages[0].tls


def test_a_control_character_in_a_reply_is_no_reason_to_lose_mail_and_never_forges_anything(world):
    for name, reply in (("nul", b"250 ok\x00\r\n"), ("cr", b"250 a\rb\r\n"), ("eight-bit", b"250 \xff\xfe\r\n")):
        states = ("MAIL", "RCPT", "END")
        for state in states:
            domain = f"{name}-{state.lower()}.held.example"
            server = world.domain(domain, answers={state: reply})
            world.send(f"a@{domain}")
            delivery = world.until(f"a@{domain}", DELIVERED)
            assert "\r" not in delivery["what"] and "\0" not in delivery["what"]
            trace = world.internet.trace(delivery["message"])
            assert not any(c in trace for c in "\0\r\x1b")
            assert sum(s.sealed.count(b"MAIL FROM") for s in server.sessions) == 1


@pytest.mark.parametrize("reply", ["451 4.3.0 later", "550 no", "hello", "CLOSE", "SILENCE", b"250 a\n",
                                   flood(b"250-x\r\n", 1 << 20)], ids=range(7))
def test_a_wrong_answer_to_rset_or_quit_spoils_that_session_and_nothing_else(world, reply, request):
    domain = f"rset-{request.node.callspec.indices['reply']}.held.example"
    refusals = ["550 5.1.1 nobody", "250 2.1.5 ok"]
    server = world.domain(domain, answers={"RSET": reply, "QUIT": reply, "RCPT": refusals})
    world.send(f"first@{domain}")
    world.until(f"first@{domain}", RETURNED)
    world.send(f"second@{domain}")
    world.until(f"second@{domain}", DELIVERED)
    assert [m.recipients for m in server.messages] == [[f"second@{domain}"]]
    for session in server.sessions:  # nobody went on where RSET had no right answer
        assert session.sealed.count(b"MAIL FROM") == 1


def test_nothing_was_said_in_the_clear_and_nobody_died(world):
    world.assert_nothing_in_clear()
    assert world.gateway.roles() == world.pids
    world.steady()

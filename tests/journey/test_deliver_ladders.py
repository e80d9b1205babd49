# SPDX-License-Identifier: ISC
"""The table of outcomes row by row, patience and holds with the clock moved by hand, back-off, permits that are
withdrawn, and the reports at the end, with the gateway killed in between."""

import os
import re
import signal
from datetime import datetime, timedelta, timezone

import pytest

from conftest import wait_until
from sending import Outside, assert_no_command, fields_of, under_tls

HOUR, DAY = 3600, 24 * 3600
TOMORROW = datetime.now(timezone.utc).date() + timedelta(days=1)
RULES = """\
permit cleartext to ".fax.example"
permit cleartext to ".until.example" until TOMORROW
permit cleartext to ".short.example"
refuse "not to these" when to ".refused.example"
hold "first" when to ".twice.example"
hold "second" when to ".twice.example" or to ".week.example"
hold "for a while" when to ".while.example" for 2 hours
send "hour" when to ".hour.example" by { tls encrypt for 1 hour, return }
send "climbs" when to ".climbs.example" by { tls encrypt for 1 hour, tls verify for 1 hour, hold for 2 days }
send "held at last" when to ".held.example" by { tls encrypt, hold }
send "named" when to ".named.example" by { tls secure named "no.such.example" for 1 hour, hold }
send "plain" when to ".fax.example" or to ".short.example" or to ".until.example"
    by { cleartext for 1 day, tls encrypt for 1 day, hold }
send "all" by { tls encrypt, return }""".replace("TOMORROW", str(TOMORROW))
# A peer's answers, and what becomes of a letter by { tls encrypt for 1 hour, return } and by
# { tls encrypt for 1 hour, tls verify, hold }; the certificate fits, so that the second rung could go.
OUTCOMES = {
    "delivered": ({}, "delivered", "delivered"),
    "4yz": ({"RCPT": "450 4.2.0 later"}, "waiting", "waiting"),
    "454 to STARTTLS": ({"STARTTLS": "454 4.7.0 later"}, "waiting", "waiting"),
    "a greeting of 5yz": ({"GREETING": "554 5.3.2 no"}, "waiting", "waiting"),
    "552 with 5.3.4": ({"MAIL": "552 5.3.4 too large"}, "returned", "held"),
    "552 with 5.2.3": ({"RCPT": "552 5.2.3 too large"}, "returned", "held"),
    "552 after the data with 5.3.4": ({"END": "552 5.3.4 too large"}, "returned", "held"),
    "552 without a status": ({"MAIL": "552 too large"}, "returned", "held"),
    "552 with another status": ({"RCPT": "552 5.2.2 quota"}, "returned", "returned"),
    "552 with text like a status": ({"END": "552 1 mailbox not found"}, "returned", "held"),
    "5.7.30": ({"MAIL": "550 5.7.30 REQUIRETLS needed"}, "returned", "held"),
    "5yz to MAIL": ({"MAIL": "550 5.7.1 sender blocked"}, "returned", "returned"),
    "5yz to RCPT": ({"RCPT": "550 5.1.1 nobody"}, "returned", "returned"),
    "5yz to DATA": ({"DATA": "554 5.7.1 no"}, "returned", "returned"),
    "5yz after the data": ({"END": "554 5.7.1 spam"}, "returned", "returned"),
    "a permanent code with a temporary status": ({"RCPT": "550 4.2.1 odd"}, "returned", "returned"),
    "a temporary code with a permanent status": ({"RCPT": "450 5.1.1 odd"}, "waiting", "waiting"),
    "5yz to EHLO within TLS": ({"EHLO": under_tls("550 no")}, "returned", "returned"),
    "5yz to EHLO before TLS": ({"EHLO": lambda s, c, l: None if c.tls else "550 no"}, "waiting", "held"),
    "STARTTLS refused": ({"STARTTLS": "502 5.5.1 no"}, "waiting", "held"),
    "no STARTTLS": ({"EHLO": lambda s, c, l: None if c.tls else "250 hello"}, "waiting", "held"),
}


def key_of(name):
    return "".join(c if c.isalnum() else "-" for c in name.lower())


@pytest.fixture(scope="module")
def world(shared_internet):
    outside = Outside(shared_internet)
    recipients = []
    for name, (answers, _, _) in OUTCOMES.items():
        for end in ("hour", "climbs"):
            domain = f"{key_of(name)}.{end}.example"
            outside.domain(domain, certificate="good", answers=answers, extensions=("PIPELINING", "8BITMIME"))
            recipients.append(f"a@{domain}")
    outside.start(RULES)
    for recipient in recipients:
        outside.send(recipient)
    outside.found = outside.settle(recipients)
    return outside


def words(text):
    return " ".join(text.split())


@pytest.mark.parametrize("name", OUTCOMES)
def test_each_outcome_has_its_row(world, name):
    _, alone, ladder = OUTCOMES[name]
    delivery = world.found[f"a@{key_of(name)}.hour.example"]
    assert delivery["state"] == alone, delivery
    delivery = world.found[f"a@{key_of(name)}.climbs.example"]
    assert delivery["state"] == ladder, delivery


def test_what_is_too_large_or_too_wide_for_one_host_goes_by_another_or_climbs(world):
    small = world.domain("small.held.example", extensions=("SIZE 1000",))
    narrow = world.domain("narrow.held.example", extensions=("PIPELINING",))
    world.send("a@small.held.example", text=b"Subject: x\r\n\r\n" + b"x" * 900 + b"\r\n" * 200)
    world.send("a@narrow.held.example", text="Subject: x\r\n\r\nGr\u00fc\u00dfe\r\n".encode())
    assert world.until("a@small.held.example", "held")["status"] == "5.3.4"
    assert world.until("a@narrow.held.example", "held")["status"] == "5.6.3"
    assert not small.messages and not narrow.messages
    assert b"MAIL" not in b"".join(bytes(s.sealed) for s in small.sessions + narrow.sessions)
    wide = world.host("mx2.narrow.held.example")
    world.names.set("narrow2.held.example", "MX", "10 mx.narrow.held.example.", "20 mx2.narrow.held.example.")
    world.send("a@narrow2.held.example", text="Subject: x\r\n\r\nGr\u00fc\u00dfe\r\n".encode())
    wide.wait_for(1)
    assert "BODY=8BITMIME" in wide.messages[0].mail_line


def test_over_all_hosts_temporary_weighs_more_than_impossible(world):
    bare = world.host("mx1.mixed.held.example", certificate=None)
    later = world.host("mx2.mixed.held.example", answers={"MAIL": "451 4.3.0 later"})
    for order in ((10, 20), (20, 10)):
        domain = f"mixed{order[0]}.held.example"
        world.names.set(domain, "MX", f"{order[0]} mx1.mixed.held.example.", f"{order[1]} mx2.mixed.held.example.")
        world.send(f"a@{domain}")
        world.until(f"a@{domain}", "waiting", attempts=1)
    assert bare.sessions and len(later.sessions) == 2


def test_a_rejection_by_a_host_that_the_rung_allows_decides(world):
    world.host("mx1.says.held.example", answers={"RCPT": "550 5.1.1 nobody"})
    second = world.host("mx2.says.held.example")
    world.names.set("says.held.example", "MX", "10 mx1.says.held.example.", "20 mx2.says.held.example.")
    world.send("a@says.held.example")
    world.until("a@says.held.example", "returned")
    assert not second.sessions


# ---- cleartext, and who permits it ----

def test_cleartext_goes_only_where_a_permit_says_so(world):
    fax = world.domain("old.fax.example", certificate=None)
    near = world.domain("fax.example", certificate=None)  # ".fax.example" is what is below
    world.send("a@old.fax.example")
    world.send("a@fax.example")
    fax.wait_for(1)
    world.until("a@old.fax.example", "delivered")
    world.until("a@fax.example", "waiting", attempts=1)
    assert not near.messages
    assert_no_command(near.sessions[0])
    assert "cleartext" in world.internet.trace(world.sent["a@old.fax.example"])


def test_a_permit_that_is_withdrawn_makes_the_rung_impossible_for_what_waits_already(world):
    server = world.domain("b.short.example", answers={"MAIL": "451 4.3.0 later"})
    world.send("a@b.short.example")
    world.until("a@b.short.example", "waiting", attempts=1)
    assert any(b"MAIL" in s.clear for s in server.sessions)
    server.answers.clear()
    policy = world.gateway.policy_file.read_text()
    world.gateway.reload(policy.replace('permit cleartext to ".short.example"\n', ""))
    try:
        wait_until(lambda: "policy" in world.gateway.log().rsplit("reload", 1)[-1], "a reload")
        before = len(server.sessions)
        world.gateway.command("queue", "retry", world.sent["a@b.short.example"], check=True)
        world.until("a@b.short.example", "delivered")
        for session in server.sessions[before:]:
            assert_no_command(session)
        assert server.messages[0].tls
        trace = words(world.internet.trace(world.sent["a@b.short.example"]))
        assert "no permit in force allows cleartext" in trace
    finally:
        world.gateway.reload(policy)


def test_a_permit_ends_with_its_day_and_the_rung_is_impossible_from_then_on(world):
    server = world.domain("b.until.example", certificate=None)
    world.send("a@b.until.example")
    world.until("a@b.until.example", "delivered")
    world.forward(2 * DAY)
    world.send("b@b.until.example")
    world.until("b@b.until.example", "held")
    assert [m.recipients for m in server.messages] == [["a@b.until.example"]]
    assert_no_command(server.sessions[-1])


def test_a_policy_with_an_error_leaves_the_one_in_force(world):
    policy = world.gateway.policy_file.read_text()
    world.gateway.reload(policy + '\nsend "broken" by { tls perhaps }\n')
    try:
        wait_until(lambda: "perhaps" in world.gateway.log(), "the reason in the log")
        server = world.domain("still.example")
        world.send("a@still.example")
        server.wait_for(1)
    finally:
        world.gateway.reload(policy)


# ---- time ----

def test_the_waits_between_attempts_double_up_to_an_hour(world):
    """Whatever stage the peer refuses at, as greylisting does."""
    stages = {"banner": {"GREETING": "421 4.7.0 come back"}, "mail": {"MAIL": "451 4.7.1 come back"},
              "rcpt": {"RCPT": "450 4.2.0 come back"}}
    servers = {}
    for stage, answers in stages.items():
        servers[stage] = world.domain(f"grey-{stage}.example", answers=answers)
        world.send(f"a@grey-{stage}.example")
    for attempt, wait in enumerate((60, 120, 240, 480, 960, 1920, 3600, 3600), 1):
        for stage in stages:
            delivery = world.until(f"a@grey-{stage}.example", "waiting", attempts=attempt)
            assert delivery["attempts"] == attempt
            planned = seconds_to_next(world, f"a@grey-{stage}.example")
            assert wait * 0.75 - 5 <= planned <= wait * 1.25 + 5, (stage, attempt, planned)
        world.forward(wait * 1.25 + 1)
    for server in servers.values():
        server.answers.clear()
    world.forward(HOUR + 1800)
    for stage, server in servers.items():
        world.until(f"a@grey-{stage}.example", "delivered")
        assert len(server.messages) == 1 and not world.reports(world.sent[f"a@grey-{stage}.example"])


def seconds_to_next(world, recipient):
    """Between the last attempt and the next, as the trace has them."""
    text = words(world.internet.trace(world.sent[recipient]))
    day = re.search(r"(\d{4}-\d\d-\d\d)", text)
    made = re.findall(r"(?:(\d{4}-\d\d-\d\d) )?(\d\d:\d\d:\d\d) Attempt", text)
    assert made, text
    planned = re.findall(r"Next attempt at (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)", text)[-1]
    then = datetime.fromisoformat(" ".join(planned))
    at = datetime.fromisoformat(f"{day.group(1)} {made[-1][1]}")
    return (then - at).total_seconds() % DAY


def test_patience_ends_the_rung_and_the_report_has_the_last_failure(world):
    server = world.domain("never.hour.example", answers={"RCPT": "450 4.2.1 mailbox busy"})
    message = world.send("a@never.hour.example")
    world.until("a@never.hour.example", "waiting", attempts=1)
    world.forward(HOUR + 60)
    world.until("a@never.hour.example", "returned")
    report = world.report(message)
    failed = fields_of(report)[1]
    assert failed["action"] == "failed" and failed["status"].startswith("4.")
    assert "delay" not in report.lower() and "success" not in report.lower()
    assert not server.messages


def test_a_rung_without_patience_lasts_for_five_days_and_not_longer(world):
    world.names.set("mx.down.example", "A", world.address())
    world.names.set("down.example", "MX", "10 mx.down.example.")
    message = world.send("a@down.example")
    world.until("a@down.example", "waiting", attempts=1)
    world.forward(4 * DAY)
    world.until("a@down.example", "waiting", attempts=2)
    world.forward(DAY + HOUR)
    world.until("a@down.example", "returned")
    report = world.report(message)
    assert fields_of(report)[1]["action"] == "failed" and "refused" in words(report)


def test_a_ladder_is_climbed_as_patience_ends_and_the_next_rung_starts_anew(world):
    server = world.domain("b.climbs.example", answers={"MAIL": "451 4.3.0 later"})
    message = world.send("a@b.climbs.example")
    world.until("a@b.climbs.example", "waiting", attempts=1)
    world.forward(HOUR + 60)
    world.until("a@b.climbs.example", "held")  # its certificate fits no name: impossible
    assert "Attempt 2 by tls verify" in words(world.internet.trace(message))
    world.forward(2 * DAY + HOUR)
    world.until("a@b.climbs.example", "returned")
    assert "nobody released it in time" in words(world.internet.trace(message))
    assert fields_of(world.report(message))[1]["final-recipient"] == "rfc822; a@b.climbs.example"
    assert not server.messages


def test_a_hold_without_an_end_returns_after_seven_days_though_the_gateway_was_restarted(world):
    message = world.send("a@b.week.example")
    other = world.domain("c.named.example", certificate="good")
    named = world.send("a@c.named.example")
    world.until("a@b.week.example", "held")
    world.until("a@c.named.example", "held")  # the last rung's
    world.gateway.kill()
    world.gateway.start()
    world.forward(6 * DAY)
    for recipient in ("a@b.week.example", "a@c.named.example"):
        world.until(recipient, "held")
    world.forward(DAY + HOUR)
    for recipient, which in (("a@b.week.example", message), ("a@c.named.example", named)):
        world.until(recipient, "returned")
        report = world.report(which)
        assert fields_of(report)[1]["final-recipient"] == f"rfc822; {recipient}"
        assert fields_of(report)[1]["status"].startswith("4.4.7")
        assert "hello" not in report and "Subject: x" not in report
    assert not other.messages


def test_a_hold_that_ends_while_the_gateway_is_down_is_returned_at_its_start(world):
    message = world.send("c@b.week.example")
    world.until("c@b.week.example", "held")
    world.gateway.stop()
    world.moved += 8 * DAY
    world.internet.move_clock(world.moved)
    world.gateway.start()
    world.until("c@b.week.example", "returned")
    world.report(message)


def test_a_hold_with_an_end_keeps_to_it(world):
    world.send("a@b.while.example")
    world.until("a@b.while.example", "held")
    world.forward(HOUR)
    world.until("a@b.while.example", "held")
    world.forward(HOUR + 60)
    world.until("a@b.while.example", "returned")
    world.report(world.sent["a@b.while.example"])


def test_who_was_refused_by_a_rule_is_reported_though_the_gateway_died_before_it_could(world):
    good = world.domain("good.example")
    os.kill(world.gateway.roles()["deliver"], signal.SIGSTOP)
    message = world.send("a@b.refused.example", "a@c.refused.example", "a@good.example")
    world.gateway.kill()
    world.gateway.start()
    good.wait_for(1)
    world.until("a@b.refused.example", "returned")
    world.until("a@c.refused.example", "returned")
    failed = [group["final-recipient"] for group in fields_of(world.report(message))[1:]]
    assert sorted(failed) == ["rfc822; a@b.refused.example", "rfc822; a@c.refused.example"]
    assert len(good.messages) == 1 and good.messages[0].recipients == ["a@good.example"]


def test_nothing_was_said_in_the_clear_and_nobody_died(world):
    fax = [s for s in world.internet.servers if s.address in
           (world.names.records.get((f"mx.{domain}", "A"), [None])[0]
            for domain in ("old.fax.example", "b.short.example", "b.until.example"))]
    world.assert_nothing_in_clear(permitted=fax)
    world.steady()

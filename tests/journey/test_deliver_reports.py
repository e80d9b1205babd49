# SPDX-License-Identifier: ISC
"""Reports of what could not be delivered: one a message, to whom we know, complete, without a word of the letter,
and none that could be forged, bounced or lost."""

import email
import email.policy
import os
import re
import sqlite3
import subprocess
import time

import pytest

from conftest import POLICY, Internet, wait_until
from sending import NURSE, Outside, assert_no_command, fields_of

HOUR, DAY = 3600, 24 * 3600
BRANCHES = POLICY.replace('domains "clinic.example"', 'domains "clinic.example", "branch.example", "bare.example"')
RULES = """\
refuse "never to these" when to ".refused.example"
send "hour" when to ".hour.example" by { tls encrypt for 1 hour, return }
send "all" by { tls encrypt, return }"""
REFUSAL = {"RCPT": "550 5.1.1 nobody here by that name"}
SECRET = b"Subject: Diagnosis of Ada Example\r\n\r\nThe biopsy-canary is benign.\r\n"
BIG = b"Subject: Diagnosis of Ada Example\r\n\r\n" + b"The biopsy-canary is benign, all of it.....\r\n" * 70000


@pytest.fixture(scope="module")
def world(shared_internet):
    """Two of our own domains have their mailboxes elsewhere, by their MX: one well kept, one without TLS."""
    outside = Outside(shared_internet)
    outside.branch = outside.domain("branch.example", certificate="good")
    outside.bare = outside.domain("bare.example", certificate=None)
    outside.domain("fails.example", answers=REFUSAL)
    outside.domain("fails2.example", answers=REFUSAL)
    return outside.start(RULES, template=BRANCHES)


@pytest.fixture(scope="module")
def report(world):
    """One on a letter with a secret."""
    message = world.send("a@fails.example", text=SECRET)
    return message, world.report(message)


def parsed(text):
    return email.message_from_string(text, policy=email.policy.SMTP)


def test_a_report_is_a_complete_message_of_its_own(world, report):
    message, text = report
    told = next(m for m in world.inside.messages if message.encode() in m.data)
    assert told.sender == "" and told.recipients == [NURSE]
    mail = parsed(text)
    assert mail["From"].endswith("<MAILER-DAEMON@mx.clinic.example>") and NURSE in mail["To"]
    assert mail["Date"] and re.fullmatch(r"<[^<>@ ]+@mx\.clinic\.example>", mail["Message-ID"])
    assert mail["Auto-Submitted"] == "auto-replied" and mail["MIME-Version"] == "1.0"
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "delivery-status"
    assert [part.get_content_type() for part in mail.iter_parts()] == [
        "text/plain", "message/delivery-status", "text/rfc822-headers"]
    first, recipient = fields_of(text)[:2]
    assert first["reporting-mta"] == "dns; mx.clinic.example" and first["arrival-date"]
    assert recipient["final-recipient"] == "rfc822; a@fails.example"
    assert (recipient["action"], recipient["status"]) == ("failed", "5.1.1")
    assert recipient["remote-mta"] == "dns; mx.fails.example"
    assert recipient["diagnostic-code"] == "smtp; 550 5.1.1 nobody here by that name"


def test_two_reports_have_two_names(world):
    first = parsed(world.report(world.send("b@fails.example")))["Message-ID"]
    assert first != parsed(world.report(world.send("c@fails.example")))["Message-ID"]


@pytest.mark.parametrize("text", [SECRET, BIG], ids=["small", "large"])
def test_a_report_carries_no_word_of_the_letter(world, text):
    message = world.send("d@fails.example", text=text)
    report = world.report(message)
    assert "Diagnosis" not in report and "Ada" not in report and "canary" not in report
    assert len(report) < 10000


def test_all_recipients_that_failed_are_in_one_report_and_only_those(world):
    good = world.domain("good.example", answers={"RCPT": lambda s, c, l: "550 5.2.1 no" if "bad@" in l else None})
    message = world.send("good@good.example", "bad@good.example", "bad2@good.example", "also-bad@good.example")
    good.wait_for(1)
    report = world.report(message)
    failed = [group["final-recipient"] for group in fields_of(report)[1:]]
    assert sorted(failed) == ["rfc822; also-bad@good.example", "rfc822; bad@good.example"], failed
    assert "good@good.example" not in re.sub(r"\S*bad@good.example", "", report)


def test_refused_recipients_are_told_in_one_report_and_the_others_get_their_letter(world):
    good = world.domain("other.example")
    message = world.send("a@b.refused.example", "a@other.example", "a@c.refused.example")
    good.wait_for(1)
    report = world.report(message)
    groups = fields_of(report)[1:]
    assert [group["status"] for group in groups] == ["5.7.1", "5.7.1"]
    assert "other.example" not in report
    assert good.messages[0].recipients == ["a@other.example"]


def test_where_all_are_refused_the_reply_says_so_and_there_is_no_report(world):
    before = len(world.reports())
    with world.internet.client("relay") as client:
        client.hello()
        client.envelope(NURSE, "a@b.refused.example", "b@c.refused.example")
        assert client.data(SECRET).startswith("550 5.7.1")
    world.send("x@fails.example")
    world.report(world.sent["x@fails.example"])
    assert len(world.reports()) == before + 1


def test_nobody_is_told_of_the_null_senders_mail(world):
    message = world.send("e@fails.example", sender="")
    world.until("e@fails.example", "returned")
    assert not world.reports(message)
    assert "no report: " in " ".join(world.internet.trace(message).split())


def test_a_stranger_gets_no_report_since_his_name_may_be_forged(world):
    world.inside.answers["RCPT"] = lambda server, session, line: "550 5.1.1 no" if "ghost@" in line else None
    victim = world.domain("victim.example", certificate="good")
    try:
        message = world.send("ghost@clinic.example", sender="victim@victim.example", door="smtp", text=SECRET)
        world.until("ghost@clinic.example", "returned")
        assert "not known to us" in " ".join(world.internet.trace(message).split())
    finally:
        world.inside.answers.clear()
    world.send("after@victim.example")
    victim.wait_for(1)
    assert [m.recipients for m in victim.messages] == [["after@victim.example"]]


@pytest.mark.parametrize("reply", ["501 5.1.7 no null sender", "550 5.7.1 no bounces"])
def test_a_report_that_is_refused_is_dropped_told_and_never_bounces(world, reply):
    world.inside.answers["MAIL"] = lambda server, session, line: reply if "<>" in line else None
    try:
        before = len(world.deliveries())
        message = world.send("f@fails.example")
        world.until("f@fails.example", "returned")
        told = re.search(r"told by\s+message\s+(\w{26})", world.internet.trace(message)).group(1)
        wait_until(lambda: "it is one" in world.internet.trace(told), "the end of the report")
        assert "null sender" not in world.gateway.command("queue").stdout
        wait_until(lambda: "told to nobody" in world.gateway.log(), "an alarm")
        assert len(world.deliveries()) <= before + 2
    finally:
        world.inside.answers.clear()


def test_a_report_goes_out_by_a_verified_name_or_not_at_all(world):
    message = world.send("g@fails.example", sender="doctor@branch.example")
    world.branch.wait_for(1)
    told = world.branch.messages[0]
    assert told.sender == "" and told.tls and message.encode() in told.data
    message = world.send("h@fails.example", sender="doctor@bare.example", text=BIG)
    world.until("h@fails.example", "returned")
    wait_until(lambda: world.bare.sessions, "the report is tried")
    world.forward(DAY)
    assert not world.bare.messages
    for session in world.bare.sessions:
        assert_no_command(session)


FORGERIES = {
    "an empty last line": (b"550-5.1.1 x\r\n550 \r\n", "5.1.1"),
    "a lone CR and a field": (b"550 5.1.1 a\rFinal-Recipient: rfc822; boss@clinic.example\r\n", "5.1.1"),
    "a code alone": (b"550\r\n", "5.0.0"),
    "a last line without text": (b"550-5.1.1 no\r\n550\r\n", "5.1.1"),
    "a field in a line of its own": (
        b"550-5.1.1 x\r\n550-Final-Recipient: rfc822; boss@clinic.example\r\n550 Action: delivered\r\n", "5.1.1"),
    "an empty line and a part": (b"550-5.1.1 x\r\n550-\r\n550 --letterlock-\r\n", "5.1.1"),
    "octets of every kind": (b"550 5.1.1 " + bytes(b for b in range(256) if b not in (10, 13)) + b"\r\n", "5.1.1"),
    "a very long text": (b"550 5.1.1 " + b"w" * 900 + b"\r\n", "5.1.1"),
    "many lines": (b"550-5.1.1 again and again\r\n" * 100 + b"550 5.1.1 enough\r\n", "5.1.1"),
    "a status of another class": (b"550 2.0.0 fine\r\n", "5.0.0"),
    "a success in words": (b"550 4.4.7 delayed\r\n", "5.4.7"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_peers_reply_cannot_forge_a_report(world, name):
    reply, status = FORGERIES[name]
    domain = "".join(c if c.isalnum() else "-" for c in name.lower()) + ".forged.example"
    world.domain(domain, answers={"RCPT": reply})
    report = world.report(world.send(f"a@{domain}"))
    assert re.search(r"(?<!\r)\n|\r(?!\n)|[^\x20-\x7e\r\n\t]", report) is None
    assert all(len(line) <= 998 for line in report.split("\r\n"))
    groups = fields_of(report)
    assert len(groups) == 2 and groups[1]["final-recipient"] == f"rfc822; a@{domain}"
    assert (groups[1]["action"], groups[1]["status"]) == ("failed", status)
    assert report.lower().count("\r\nfinal-recipient:") == 1 and report.count("\r\nAction:") == 1
    assert len(list(parsed(report).iter_parts())) == 3


def test_nothing_that_we_add_names_a_hidden_recipient(world):
    first, second = world.domain("seen.example"), world.domain("hidden.example", answers=REFUSAL)
    text = b"From: nurse@clinic.example\r\nTo: a@seen.example\r\nSubject: x\r\n\r\nx\r\n"
    message = world.send("a@seen.example", "b@seen.example", "c@hidden.example", text=text)
    first.wait_for(1)
    header = first.messages[0].data.split(b"\r\n\r\n", 1)[0]
    assert b"c@hidden.example" not in header and b"b@seen.example" not in header and b" for <" not in header
    report = world.report(message)
    assert "c@hidden.example" in report and "seen.example" not in report
    assert not second.messages


def test_at_expiry_the_report_says_failed_with_the_last_reply(world):
    world.domain("late.hour.example", answers={"MAIL": "451 4.3.2 not today, please"})
    message = world.send("a@late.hour.example")
    world.until("a@late.hour.example", "waiting", attempts=1)
    world.forward(HOUR + 60)
    failed = fields_of(world.report(message))[1]
    assert failed["action"] == "failed" and failed["status"].startswith("4.")


def test_a_clock_set_back_freezes_nothing(world):
    server = world.domain("back.example", answers={"RCPT": ["450 4.2.0 later", "250 ok"]})
    world.send("a@back.example")
    world.until("a@back.example", "waiting", attempts=1)
    world.forward(-HOUR)
    world.send("b@back.example")
    server.wait_for(1)
    world.gateway.command("queue", "retry", world.sent["a@back.example"], check=True)
    server.wait_for(2)
    assert world.sent["a@back.example"] != world.sent["b@back.example"]
    world.gateway.command("audit", "verify", check=True)
    world.forward(HOUR)


def test_nothing_was_said_in_the_clear_and_nobody_died(world):
    world.assert_nothing_in_clear()
    assert world.gateway.roles() == world.pids
    world.steady()


# ---- gateways of their own ----

def test_after_a_clock_set_back_a_retry_comes_no_later_than_its_wait(internet):
    outside = Outside(internet)
    server = outside.domain("step.example", answers={"RCPT": ["450 4.2.0 later"] * 6 + ["250 ok"]})
    outside.start(RULES, {"deliver.retry_first_ms": 2000, "deliver.retry_longest_ms": 2000})
    recipients = [f"a{i}@step.example" for i in range(3)]
    for recipient in recipients:
        outside.send(recipient)
    outside.settle(recipients)
    internet.move_clock(-HOUR)
    server.wait_for(3, seconds=20)
    outside.send("late@step.example")
    server.wait_for(4, seconds=10)
    assert len(set(outside.sent.values())) == 4
    database = sqlite3.connect(f"file:{outside.database()}?mode=ro", uri=True)
    wait_until(lambda: database.execute("SELECT count(*) FROM event WHERE kind = 6").fetchone() == (1,),
               "one event that tells of it")
    database.close()
    outside.steady()


def test_a_failure_that_cannot_be_written_down_is_written_with_its_report_once_there_is_room(folder, authority):
    """The state lies on a small disk of its own, which is full while the peer refuses."""
    place = folder / "small-disk"
    (place / "state").mkdir(parents=True)
    place.chmod(0o755)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "none", place / "state"],
                      capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    internet = Internet(place, authority)
    outside = Outside(internet)
    told = []
    filler = place / "state" / "filler"

    def fill_then_refuse(server, session, line):
        file = os.open(filler, os.O_WRONLY | os.O_CREAT)
        try:
            while os.write(file, bytes(4096)):
                pass
        except OSError:
            told.append("full")
        os.close(file)
        return "550 5.1.1 nobody"
    try:
        outside.domain("full.example", answers={"RCPT": fill_then_refuse})
        outside.start(RULES)
        message = outside.send("a@full.example")
        wait_until(lambda: told, "the disk is full")
        time.sleep(3)
        assert not outside.reports()
        assert outside.gateway.roles() == outside.pids
        os.unlink(filler)
        outside.report(message)
        outside.until("a@full.example", "returned")
        assert len(outside.reports()) == 1
        outside.steady()
    finally:
        internet.stop()
        subprocess.run(["umount", "-l", place / "state"], check=False)

# SPDX-License-Identifier: ISC
"""What an administrator may do to what waits or is held: hold, release, retry, delete, decide; and the wrong
states, in which each of these is refused with a sentence."""

import pytest

from conftest import POLICY, wait_until
from sending import Outside, fields_of

HOUR, DAY = 3600, 24 * 3600
RULES = """\
refuse "never to these" when to ".refused.example"
hold "first" when to ".twice.example" or to ".changed.example"
hold "second" when to ".twice.example" or to ".once.example"
send "rung" when to ".rung.example" by { tls encrypt for 1 hour, tls verify, hold for 3 days }
send "only held" when to ".only.example" by { hold }
send "all" by { tls encrypt, return }"""
# The gateway itself has no domains and no rules here, so that its own mail, with the null sender, meets none.
TENANT = POLICY.replace('domains "clinic.example"\n', "").replace(
    'route "clinic.example" to lmtp "127.0.0.1 port {lmtp}"\n{rules}', '''{rules}
organisation "clinic" {{
  domains "clinic.example"
  route "clinic.example" to lmtp "127.0.0.1 port {lmtp}"
  send "all" by {{ tls encrypt, return }}
}}''')
BUSY = {"RCPT": "450 4.2.0 later"}


@pytest.fixture(scope="module")
def world(shared_internet):
    return Outside(shared_internet).start(RULES)


def queue(world, verb, recipient, *options, number=None):
    message = world.sent[recipient]
    return world.gateway.command("queue", verb, message + (f"/{number}" if number else ""), *options)


def done(result):
    assert result.returncode == 0, result.stdout + result.stderr
    return " ".join(result.stdout.split())


def refused(result):
    assert result.returncode != 0, result.stdout
    return " ".join((result.stdout + result.stderr).split())


def trace(world, recipient):
    return " ".join(world.internet.trace(world.sent[recipient]).split())


def test_a_waiting_letter_is_held_by_hand_released_and_goes_on_where_it_was(world):
    server = world.domain("hand.example", answers=dict(BUSY))
    world.send("a@hand.example")
    world.until("a@hand.example", "waiting", attempts=1)
    assert "7 days" in done(queue(world, "hold", "a@hand.example", "--reason", "a wrong address, perhaps"))
    world.until("a@hand.example", "held")
    server.answers.clear()
    world.forward(HOUR)
    world.until("a@hand.example", "held")
    assert not server.messages
    assert "released" in done(queue(world, "release", "a@hand.example"))
    server.wait_for(1)
    world.until("a@hand.example", "delivered")
    assert "a wrong address, perhaps" in trace(world, "a@hand.example")


def test_a_letter_held_by_hand_and_forgotten_returns_with_a_report(world):
    world.domain("forgot.example", answers=dict(BUSY))
    message = world.send("a@forgot.example")
    world.until("a@forgot.example", "waiting", attempts=1)
    done(queue(world, "hold", "a@forgot.example"))
    world.forward(7 * DAY + HOUR)
    world.until("a@forgot.example", "returned")
    assert fields_of(world.report(message))[1]["action"] == "failed"


def test_a_release_names_the_rule_and_the_next_hold_is_asked(world):
    server = world.domain("b.twice.example")
    world.send("a@b.twice.example")
    world.until("a@b.twice.example", "held")
    assert '"second" holds it' in done(queue(world, "release", "a@b.twice.example"))
    assert world.until("a@b.twice.example", "held")["rule"] == "second"
    assert not server.messages
    assert '"all" sends it' in done(queue(world, "release", "a@b.twice.example"))
    server.wait_for(1)
    story = trace(world, "a@b.twice.example")
    assert "first" in story and "second" in story
    assert server.messages[0].tls


def test_of_several_recipients_one_alone_is_released(world):
    server = world.domain("c.once.example")
    world.send("a@c.once.example", "b@c.once.example")
    world.until("b@c.once.example", "held")
    done(queue(world, "release", "a@c.once.example", number=2))
    server.wait_for(1)
    assert server.messages[0].recipients == ["b@c.once.example"]
    world.until("a@c.once.example", "held")


def test_a_held_rung_that_is_released_begins_its_ladder_again(world):
    server = world.domain("b.rung.example", certificate=None)
    world.send("a@b.rung.example")
    world.until("a@b.rung.example", "held")
    before = len(server.sessions)
    assert "begins again" in done(queue(world, "release", "a@b.rung.example"))
    wait_until(lambda: len(server.sessions) >= before + 2, "both rungs are tried again")
    world.until("a@b.rung.example", "held")
    assert trace(world, "a@b.rung.example").count("by tls encrypt") >= 2
    assert not server.messages


def test_a_ladder_that_is_but_a_hold_cannot_be_released(world):
    world.domain("b.only.example")
    world.send("a@b.only.example")
    world.until("a@b.only.example", "held")
    assert "no way but the hold" in refused(queue(world, "release", "a@b.only.example"))
    world.until("a@b.only.example", "held")


def test_what_a_rule_no_longer_holds_is_decided_anew_under_the_policy_in_force(world):
    server = world.domain("b.changed.example")
    world.send("a@b.changed.example")
    world.until("a@b.changed.example", "held")
    policy = world.gateway.policy_file.read_text()
    world.gateway.reload(policy.replace(' or to ".changed.example"\nhold "second"', '\nhold "second"'))
    try:
        wait_until(lambda: '"all" sends it' in world.gateway.command(
            "queue", "decide", world.sent["a@b.changed.example"]).stdout, "the new policy decides")
        server.wait_for(1)
    finally:
        world.gateway.reload(policy)


def test_a_decision_anew_may_also_refuse_and_the_sender_is_told(world):
    message = world.send("a@d.once.example")
    world.until("a@d.once.example", "held")
    policy = world.gateway.policy_file.read_text()
    world.gateway.reload(policy.replace('to ".refused.example"', 'to ".refused.example" or to "d.once.example"'))
    try:
        wait_until(lambda: "refuses it" in world.gateway.command("queue", "decide", message).stdout, "it is refused")
        world.until("a@d.once.example", "returned")
        assert fields_of(world.report(message))[1]["status"] == "5.7.1"
    finally:
        world.gateway.reload(policy)


def test_what_no_rule_matched_cannot_be_released_but_decided_anew(internet):
    outside = Outside(internet)
    server = outside.domain("b.none.example")
    outside.start("", template=TENANT)
    recipient = "a@b.none.example"
    outside.send(recipient, sender="")
    assert outside.until(recipient, "held")["rule"] == "no rule"
    assert "no rule of the policy said" in refused(queue(outside, "release", recipient))
    assert 'the rule "no rule" holds it' in done(queue(outside, "decide", recipient))
    outside.until(recipient, "held")
    rule = 'send "at last" by { tls encrypt, return }\n'
    policy = outside.gateway.policy_file.read_text()
    outside.gateway.reload(policy.replace("organisation", rule + "organisation"))
    wait_until(lambda: '"at last" sends it' in outside.gateway.command("queue", "decide",
                                                                      outside.sent[recipient]).stdout, "it is sent")
    server.wait_for(1)


def test_a_retry_is_an_attempt_now(world):
    server = world.domain("again.example", answers={"RCPT": ["450 4.2.0 later", "250 2.1.5 ok"]})
    world.send("a@again.example")
    world.until("a@again.example", "waiting", attempts=1)
    assert "tried now" in done(queue(world, "retry", "a@again.example"))
    server.wait_for(1)
    assert world.until("a@again.example", "delivered")["attempts"] == 2


def test_what_is_deleted_goes_nowhere_and_nobody_is_told(world):
    server = world.domain("gone.example", answers=dict(BUSY))
    message = world.send("a@gone.example")
    world.until("a@gone.example", "waiting", attempts=1)
    assert "deleted" in done(queue(world, "delete", "a@gone.example", "--reason", "asked by the sender"))
    server.answers.clear()
    world.forward(2 * HOUR)
    world.send("b@gone.example")
    world.until("b@gone.example", "delivered")
    assert [m.recipients for m in server.messages] == [["b@gone.example"]]
    world.until("a@gone.example", "deleted")
    assert not world.reports(message)


STATES = ("waiting", "held", "delivered", "returned", "deleted")
ALLOWED = {"hold": ("waiting",), "release": ("held",), "retry": ("waiting",), "delete": ("waiting", "held"),
           "decide": ("held",)}


def in_state(world, state, verb):
    """A fresh letter in that state; its recipient."""
    domain = f"{state}-{verb}.{'once.' if state == 'held' else ''}example"
    answers = {"waiting": BUSY, "deleted": BUSY, "returned": {"RCPT": "550 5.1.1 no"}}.get(state, {})
    world.domain(domain, answers=dict(answers))
    recipient = f"a@{domain}"
    world.send(recipient)
    if state == "deleted":
        world.until(recipient, "waiting", attempts=1)
        done(queue(world, "delete", recipient))
    world.until(recipient, state, attempts=1 if state == "waiting" else 0)
    return recipient


@pytest.mark.parametrize("verb", ALLOWED)
@pytest.mark.parametrize("state", STATES)
def test_each_act_has_its_states_and_is_refused_in_the_others(world, verb, state):
    recipient = in_state(world, state, verb)
    result = queue(world, verb, recipient, number=1)
    if state in ALLOWED[verb]:
        done(result)
        return
    text = refused(result)
    assert "only a" in text and "Traceback" not in text, text
    found = world.deliveries()[recipient]
    assert found["state"] == state, found


@pytest.mark.parametrize("name", ["nonsense", "", "01m89fda4fgkj4qmyp1cbefh5y", "01m89fda4fgkj4qmyp1cbefh5y/1",
                                  "01m89fda4fgkj4qmyp1cbefh5y/999999999999", "../../etc", "a" * 5000])
@pytest.mark.parametrize("verb", ALLOWED)
def test_an_act_on_nothing_is_refused_with_a_sentence(world, verb, name):
    result = world.gateway.command("queue", verb, name)
    assert result.returncode != 0 and result.stderr.strip()


def test_a_number_that_the_message_does_not_have_is_refused(world):
    world.send("a@e.once.example")
    world.until("a@e.once.example", "held")
    assert "no delivery 2" in refused(queue(world, "release", "a@e.once.example", number=2))


def test_the_queue_lists_by_destination_with_cause_and_next_attempt(world):
    world.domain("listed.example", answers=dict(BUSY))
    message = world.send("a@listed.example")
    world.until("a@listed.example", "waiting", attempts=1)
    all_of_it = world.gateway.command("queue", check=True).stdout
    one = world.gateway.command("queue", "list", "--destination", "listed.example", check=True).stdout
    assert message in all_of_it and message in one
    assert "450 in reply to RCPT TO" in one and "in " in one and "listed.example" in one
    assert len([line for line in one.splitlines() if "/1" in line]) == 1
    destinations = world.gateway.command("queue", "destinations", check=True).stdout
    assert "listed.example" in destinations


def test_acts_survive_a_kill_and_are_in_the_journal(world):
    server = world.domain("f.once.example")
    world.send("a@f.once.example")
    world.until("a@f.once.example", "held")
    done(queue(world, "release", "a@f.once.example", "--reason", "the ward asked"))
    world.gateway.kill()
    world.gateway.start()
    server.wait_for(1)
    assert len(server.messages) == 1
    assert "the ward asked" in trace(world, "a@f.once.example")
    world.gateway.command("audit", "verify", check=True)


def test_nothing_was_said_in_the_clear_and_nobody_died(world):
    world.assert_nothing_in_clear()
    world.steady()

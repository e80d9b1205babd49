# SPDX-License-Identifier: ISC
"""What an administrator does to a delivery happens, and what he is told is true."""

import sqlite3
from contextlib import closing

import pytest

from conftest import wait_until
from lab.scripted import ScriptedServer
from sending import NURSE, Outside

DAY_S = 24 * 3600
RULES = """\
hold "twins" when to "b@twins.example"
hold "long" when to "b@long.example"
hold "short" when to "c@long.example"
send "all" by { tls encrypt }
"""


@pytest.fixture(scope="module")
def world(shared_internet):
    return Outside(shared_internet).start(RULES)


def test_a_retry_goes_at_once_to_a_host_that_was_down(world):
    address = world.address()
    world.names.set("mx.asleep.example", "A", address)
    world.names.set("asleep.example", "MX", "10 mx.asleep.example.")
    message = world.send("a@asleep.example")
    world.until("a@asleep.example", "waiting", attempts=1)
    pair = world.internet.authority.issue("any.invalid", self_signed=True)
    server = ScriptedServer(address, world.internet.ports["mx"], *pair).start()
    world.internet.servers.append(server)
    told = world.gateway.command("queue", "retry", message, check=True).stdout
    assert "tried now" in told
    world.until("a@asleep.example", "delivered", seconds=10)


def test_what_is_released_after_its_five_days_is_still_sent(world):
    server = world.domain("twins.example")
    message = world.send("b@twins.example")
    world.until("b@twins.example", "held")
    world.forward(6 * DAY_S)
    world.gateway.command("queue", "release", message, check=True)
    world.until("b@twins.example", "delivered", seconds=10)
    assert len(server.messages) == 1


def test_deciding_anew_looks_at_the_deliverys_own_recipient(world):
    world.domain("first.example")
    message = world.send("a@first.example", "b@twins.example")
    world.until("b@twins.example", "held")
    told = world.gateway.command("queue", "decide", message + "/2", check=True).stdout
    assert 'the rule "twins" holds it' in told
    world.until("b@twins.example", "held", says="decided anew")


def test_a_longer_hold_keeps_what_is_held(world):
    """The keeper destroys the content's keys by the day, so they must be under a later one."""
    world.domain("long.example")
    world.domain("other.example")
    message = world.send("a@other.example", "b@long.example", "c@long.example")
    world.until("b@long.example", "held")
    policy = world.gateway.policy_file.read_text()
    world.gateway.reload(policy.replace('"long" when to "b@long.example"', '"long" when to "b@long.example" for 40 days'))
    try:
        wait_until(lambda: "policy was loaded anew" in world.gateway.log(), "the reload")
        wait_until(lambda: world.gateway.log().count("new policy is in force") >= 3, "the roles' reload")
        world.gateway.command("queue", "decide", message, check=True)
        world.forward(25 * DAY_S)
        world.gateway.kill_role("keeper")  # it looks for what has ended when it starts, and by itself at midnight
        wait_until(lambda: "keeper" in world.gateway.roles(), "another keeper")
        world.send("a@other.example")
        world.gateway.command("queue", "release", message + "/2", check=True)
        world.until("b@long.example", "delivered", seconds=10)
    finally:
        world.gateway.reload(policy)


def test_reload_and_stop_reach_the_gateway_whoever_answers_at_its_socket(internet):
    gateway = internet.start(RULES)
    reloads = gateway.log().count("policy was loaded anew")
    gateway.command("reload", check=True)
    wait_until(lambda: gateway.log().count("policy was loaded anew") > reloads, "the reload")
    assert "The gateway has ended" in gateway.command("stop", check=True).stdout
    assert gateway.process.wait(5) == 0


def test_a_row_that_somebody_touched_moves_no_cursor(world):
    message = world.send("c@long.example")
    world.until("c@long.example", "held")
    with closing(sqlite3.connect(world.gateway.state / "store/store.sqlite", timeout=30)) as database:
        database.execute("UPDATE delivery SET last_reason = ? WHERE message IN (SELECT id FROM message ORDER BY id "
                         "DESC LIMIT 1)", ("\x1b]0;mine\x07 \x9b31m",))
        database.commit()
    shown = world.gateway.command("queue", "list", check=True).stdout
    assert message in shown and "?]0;mine?" in shown
    assert not any(ord(c) < 32 and c != "\n" or 127 <= ord(c) < 160 for c in shown)

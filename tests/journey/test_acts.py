# SPDX-License-Identifier: ISC
"""What an administrator does to a delivery happens, and what he is told is true."""

import pytest

from conftest import wait_until
from lab.scripted import ScriptedServer
from sending import NURSE, Outside

RULES = """\
hold "twins" when to "b@twins.example"
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

# SPDX-License-Identifier: ISC
"""kill -9 of each role under load, twenty times each, and of everything at once: nothing acknowledged is lost."""

import random
import time
from collections import defaultdict

import pytest

from conftest import wait_until
from loading import ACCEPTED, DELIVERED, ID, MARKER, Arrivals, Journal, Senders, figures

KILLS = 20
RULES = 'send "all" by { tls verify, return }'
LIMITS = {"supervisor.restart_longest_ms": 100, "deliver.retry_longest_ms": 1000}
RESTARTS_DELIVERY = ("deliver", "everything")  # whose death may come between the other side's 250 and our noting it


class Ordeal:
    """One gateway that is killed again and again, and the books of all that was said."""

    def __init__(self, internet):
        self.internet, self.random = internet, random.Random(7)
        self.sink = internet.mx("partner.example", "127.0.1.1")
        self.sink.messages = Arrivals()
        self.gateway = internet.start(RULES, LIMITS)
        self.kills = defaultdict(list)  # victim: when
        self.acknowledged, self.unanswered, self.refused = {}, set(), 0

    def endure(self, victim):
        """The kills of one role (or of "everything"), each at a random moment of the load."""
        senders = Senders(self.internet.ports["relay"], victim)
        for _ in range(KILLS):
            before = len(senders.acknowledged)
            wait_until(lambda: len(senders.acknowledged) > before, f"mail is taken after a kill of {victim}")
            time.sleep(self.random.uniform(0, 0.15))
            if victim == "everything":
                self.kills[victim].append(time.time())
                self.gateway.kill()
                self.gateway.start()
                continue
            pid = wait_until(lambda: self.gateway.roles().get(victim), f"{victim} lives again")
            self.kills[victim].append(time.time())
            assert self.gateway.kill_role(victim) == pid
            wait_until(lambda: self.gateway.roles().get(victim, pid) != pid, f"{victim} is started again")
        senders.stop()
        self.acknowledged.update(senders.acknowledged)
        self.unanswered |= senders.unanswered
        self.refused += senders.refused
        return senders

    def settle(self):
        """Until nothing waits. What receive's deaths left between the commit and the hand-over waits for the end of
        a lease: two minutes, which the clock leaps over."""
        self.internet.move_clock(150)
        wait_until(lambda: figures(self.gateway.command("status").stdout).get("waiting") == 0,
                   "everything is delivered", 90)


@pytest.fixture(scope="module")
def ordeal(shared_internet):
    return Ordeal(shared_internet)


@pytest.mark.parametrize("victim", ["keeper", "control", "receive", "deliver", "everything"])
def test_mail_is_taken_again_after_each_of_twenty_kills(ordeal, victim):
    senders = ordeal.endure(victim)
    assert len(ordeal.kills[victim]) == KILLS
    assert len(senders.acknowledged) >= KILLS


def test_what_was_acknowledged_was_delivered_and_twice_only_where_a_kill_explains_it(ordeal, counts):
    assert sum(map(len, ordeal.kills.values())) == 5 * KILLS, "the kills have failed before"
    ordeal.settle()
    arrivals = defaultdict(list)  # id: the moments of its arrival
    markers = {}
    for message in list(ordeal.sink.messages):
        name = ID.search(message.data).group(1).decode()
        arrivals[name].append(message.at)
        markers[name] = MARKER.search(message.data).group(1).decode()
    journal = Journal(ordeal.gateway.state)

    lost = [marker for marker, name in ordeal.acknowledged.items() if name not in arrivals]
    assert not lost, f"{len(lost)} acknowledged messages are lost: {lost[:10]}"
    assert all(markers[name] == marker for marker, name in ordeal.acknowledged.items())
    unknown = [name for name in arrivals if len(journal.of(name, ACCEPTED)) != 1]
    assert not unknown, f"delivered, and not in the journal: {unknown[:10]}"
    # Beyond what was acknowledged, only what was committed while its sender lost the connection.
    extra = {marker for name, marker in markers.items() if marker not in ordeal.acknowledged}
    assert extra <= ordeal.unanswered
    for name in arrivals:
        assert len(journal.of(name, DELIVERED)) == 1, f"{name}: delivered once, as the journal tells it"

    doubles = {name: sorted(times) for name, times in arrivals.items() if len(times) > 1}
    deaths = sorted(at for victim in RESTARTS_DELIVERY for at in ordeal.kills[victim])
    for name, times in doubles.items():
        for first, second in zip(times, times[1:]):
            assert any(first <= at + 0.05 and at <= second for at in deaths), \
                f"{name} ({markers[name]}) came twice, {second - first:.3f} s apart, and no kill explains it"
    status = figures(ordeal.gateway.command("status", check=True).stdout)
    assert status["delivered"] == len(arrivals) and status["waiting"] == status["held"] == status["returned"] == 0
    ordeal.gateway.command("audit", "checkpoint", check=True)
    ordeal.gateway.command("audit", "verify", check=True)
    # The handful that was in flight at a kill may come twice, never more than were in flight.
    by_victim = {victim: sum(markers[name].startswith(victim) for name in doubles) for victim in ordeal.kills}
    assert all(by_victim[victim] == 0 for victim in by_victim if victim not in RESTARTS_DELIVERY)
    counts(f"kill -9: {KILLS} of each role and {KILLS} of everything; {len(ordeal.acknowledged)} acknowledged = "
           f"{sum(name in arrivals for name in ordeal.acknowledged.values())} delivered + {status['waiting']} waiting; "
           f"{len(extra)} more were committed and their senders cut off; duplicates "
           + ", ".join(f"{count} ({victim})" for victim, count in by_victim.items()))

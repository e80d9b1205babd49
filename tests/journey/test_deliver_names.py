# SPDX-License-Identifier: ISC
"""Where a letter goes: every way in which names can fail, which host is asked first, and never ourselves."""

from collections import Counter

import pytest

from conftest import wait_until
from sending import NURSE, Outside, wait_until_slowly

RULES = """\
send "verified" when to ".verified.example" by { tls verify for 3 days, hold }
send "all" by { tls encrypt for 3 days, return }"""
FAILURES = ("TIMEOUT", "SERVFAIL", "REFUSED", "NOTIMP")
KINDS = ("mx", "a", "aaaa", "both")


@pytest.fixture(scope="module")
def world(shared_internet):
    """Mail hosts are reached at the port of our own listener, so that one of them can be ourselves."""
    shared_internet.ports["mx"] = shared_internet.ports["smtp"]
    outside = Outside(shared_internet)
    outside.web = {}
    outside.waiting = [f"{kind}-{failure}".lower() for kind in KINDS for failure in FAILURES
                       if (kind, failure) != ("both", "TIMEOUT")]  # slow, and says nothing new
    for failure in FAILURES:
        low = failure.lower()
        names = outside.names
        # The domain's own address is a web server's, with a mail host that takes everything.
        outside.web[low] = outside.host(f"mx-{low}.example")
        names.set(f"mx-{low}.example", "MX", failure)
        for kind in ("a", "aaaa", "both"):
            outside.domain(f"{kind}-{low}.example")
        names.set(f"mx.a-{low}.example", "A", failure)
        names.set(f"mx.aaaa-{low}.example", "AAAA", failure)
        names.set(f"mx.both-{low}.example", "A", failure)
        names.set(f"mx.both-{low}.example", "AAAA", failure)
    outside.start(RULES)
    recipients = [f"a@{name}.example" for name in outside.waiting]
    for recipient in recipients:
        outside.send(recipient)
    outside.found = outside.settle(recipients, 60)
    return outside


@pytest.mark.parametrize("failure", FAILURES)
def test_an_mx_look_up_that_fails_never_becomes_the_domains_own_address(world, failure):
    delivery = world.found[f"a@mx-{failure.lower()}.example"]
    assert (delivery["state"], delivery["status"]) == ("waiting", "4.4.3"), delivery
    assert "MX look-up" in delivery["what"]
    assert not world.web[failure.lower()].sessions


@pytest.mark.parametrize("name", [f"a-{failure}" for failure in FAILURES] + [f"both-{f}" for f in FAILURES[1:]])
def test_an_address_look_up_that_fails_waits(world, name):
    delivery = world.found[f"a@{name.lower()}.example"]
    assert (delivery["state"], delivery["status"]) == ("waiting", "4.4.3"), delivery


@pytest.mark.parametrize("failure", FAILURES)
def test_an_ipv6_look_up_that_fails_does_not_stop_ipv4(world, failure):
    delivery = world.found[f"a@aaaa-{failure.lower()}.example"]
    assert delivery["state"] == "delivered", delivery


def test_a_failed_host_beside_a_good_one_is_passed_over_at_once(world):
    for failure in FAILURES:
        domain = f"second-{failure.lower()}.example"
        good = world.host(f"mx2.{domain}")
        world.names.set(f"mx1.{domain}", "A", failure)
        world.names.set(domain, "MX", f"10 mx1.{domain}.", f"20 mx2.{domain}.")
        world.send(f"a@{domain}")
        good.wait_for(1)
        assert world.until(f"a@{domain}", "delivered")["attempts"] == 1


def test_no_mx_record_means_the_domain_itself_and_its_name_is_what_is_verified(world):
    server = world.host("self.verified.example", certificate="good")
    message = world.send("a@self.verified.example")
    server.wait_for(1)
    world.until("a@self.verified.example", "delivered")
    assert "self.verified.example" in world.internet.trace(message)


def test_no_mx_and_an_ipv6_address_alone_will_do(world):
    """Mapped, since the laboratory has no IPv6 network of its own."""
    server = world.host("six-alone.invalid", certificate=world.internet.authority.issue("six.verified.example"))
    world.names.set("six.verified.example", "AAAA", f"::ffff:{server.address}")
    world.send("a@six.verified.example")
    server.wait_for(1)
    assert world.until("a@six.verified.example", "delivered")["mechanism"] == "pkix"


def test_a_domain_that_does_not_exist_is_returned_at_once(world):
    message = world.send("a@no-such.test")
    delivery = world.until("a@no-such.test", "returned")
    assert delivery["status"] == "5.1.2"
    assert "Status: 5.1.2" in world.report(message)


def test_a_domain_with_neither_mx_nor_address_is_returned_at_once(world):
    world.names.set("empty.example", "TXT", '"nothing here"')
    world.send("a@empty.example")
    assert world.until("a@empty.example", "returned")["status"] == "5.1.2"


def test_a_null_mx_fails_at_once_without_a_look_at_the_address(world):
    server = world.host("null.example")
    world.names.set("null.example", "MX", "0 .")
    message = world.send("a@null.example")
    assert world.until("a@null.example", "returned")["status"] == "5.1.10"
    assert "Status: 5.1.10" in world.report(message)
    assert world.names.asked("null.example", "A") == 0 and not server.sessions


def test_a_null_mx_beside_another_never_leads_to_the_domains_address(world):
    own, other = world.host("half-null.example"), world.host("mx.half-null.example")
    world.names.set("half-null.example", "MX", "0 .", "10 mx.half-null.example.")
    world.send("a@half-null.example")
    world.settle(["a@half-null.example"])
    delivery = world.deliveries()["a@half-null.example"]
    assert delivery["state"] in ("delivered", "returned") and not own.sessions
    assert len(other.messages) == (delivery["state"] == "delivered")


def test_an_alias_of_a_domain_or_of_a_host_is_followed(world):
    true = world.domain("true-name.example")
    world.names.set("alias.example", "CNAME", "true-name.example.")
    world.names.set("by-alias.example", "MX", "10 host.by-alias.example.")
    world.names.set("host.by-alias.example", "CNAME", "mx.true-name.example.")
    world.send("a@alias.example")
    world.send("a@by-alias.example")
    true.wait_for(2)
    assert {m.recipients[0] for m in true.messages} == {"a@alias.example", "a@by-alias.example"}


def test_an_alias_that_leads_in_a_circle_is_unknown_and_waits(world):
    world.names.set("circle.example", "CNAME", "round.example.")
    world.names.set("round.example", "CNAME", "circle.example.")
    world.send("a@circle.example")
    found = world.settle(["a@circle.example"])["a@circle.example"]
    assert found["state"] == "waiting", found


def test_one_advertised_host_that_does_not_exist_does_not_stop_the_others(world):
    server = world.host("mx2.gone.verified.example", certificate="good")
    world.names.set("gone.verified.example", "MX", "10 gone.gone.verified.example.",
                    "20 mx2.gone.verified.example.")
    message = world.send("a@gone.verified.example")
    server.wait_for(1)
    assert world.until("a@gone.verified.example", "delivered")["attempts"] == 1
    assert "gone.gone.verified.example" in "".join(world.internet.trace(message).split())


def test_a_first_host_that_is_always_dead_costs_no_attempt(world):
    world.names.set("mx1.nolisting.example", "A", world.address())
    server = world.host("mx2.nolisting.example")
    world.names.set("nolisting.example", "MX", "10 mx1.nolisting.example.", "20 mx2.nolisting.example.")
    world.send("a@nolisting.example")
    server.wait_for(1)
    delivery = world.until("a@nolisting.example", "delivered")
    assert (delivery["attempts"], delivery["host"]) == (1, "mx2.nolisting.example")


@pytest.mark.parametrize("dead", ["fe80::1", "100::1", "2001:db8::dead", "::ffff:0.0.0.0"])
def test_a_dead_ipv6_address_does_not_hide_the_ipv4_address_of_the_host(world, dead):
    domain = f"six-{dead.replace(':', '-').strip('-').replace('.', '-')}.verified.example"
    server = world.domain(domain, certificate="good")
    world.names.set(f"mx.{domain}", "AAAA", dead)
    world.send(f"a@{domain}")
    server.wait_for(1)
    assert world.until(f"a@{domain}", "delivered")["attempts"] == 1


def test_preference_decides_and_not_the_order_of_the_answer(world):
    last, first = world.host("last.order.example"), world.host("first.order.example")
    world.names.set("order.example", "MX", "10 last.order.example.", "1 first.order.example.")
    for i in range(20):
        world.send(f"a{i}@order.example")
    first.wait_for(20)
    assert not last.sessions


def test_a_dead_host_of_lower_preference_is_skipped_within_the_attempt(world):
    live = world.host("live.skip.example")
    world.names.set("dead.skip.example", "A", world.address())
    world.names.set("skip.example", "MX", "20 live.skip.example.", "10 dead.skip.example.")
    world.send("a@skip.example")
    live.wait_for(1)


def test_hosts_of_one_preference_share_the_work(world):
    servers = [world.host(f"mx{i}.shared.example") for i in range(3)]
    world.names.set("shared.example", "MX", *(f"5 mx{i}.shared.example." for i in range(3)))
    recipients = [f"a{i}@shared.example" for i in range(300)]
    with world.internet.client("relay") as client:
        client.hello()
        for recipient in recipients:
            client.envelope(NURSE, recipient)
            assert client.data(b"Subject: x\r\n\r\nx\r\n").startswith("250")
    wait_until(lambda: sum(len(s.messages) for s in servers) == 300, "three hundred letters")
    shares = [len(s.messages) for s in servers]
    assert all(70 <= share <= 130 for share in shares), shares
    assert max(Counter(r for s in servers for m in s.messages for r in m.recipients).values()) == 1


def loops(world):
    ours = "127.0.0.1"
    return {
        "localhost": [("MX", "10 localhost.")],
        "below-localhost": [("MX", "10 mx.localhost.")],
        "our-name": [("MX", "10 mx.clinic.example.")],
        "our-address": [("MX", "10 other.our-address.loop.example."), ("other", "A", ours)],
        "nothing": [("MX", "10 z.nothing.loop.example."), ("z", "A", "0.0.0.0"), ("z", "AAAA", "::")],
        "six": [("MX", "10 s.six.loop.example."), ("s", "AAAA", "::1")],
        "mapped": [("MX", "10 s.mapped.loop.example."), ("s", "AAAA", "::ffff:127.0.0.1")],
        "itself": [("A", ours)],
        "all-of-them": [("MX", "10 localhost.", "20 z.all-of-them.loop.example.", "30 self.all-of-them.loop.example."),
                        ("z", "A", "0.0.0.0"), ("z", "AAAA", "::"), ("self", "A", ours)],
    }


@pytest.mark.parametrize("name", loops(None))
def test_a_domain_whose_mail_host_is_ourselves_is_not_mailed_in_circles(world, name):
    domain = f"{name}.loop.example"
    for record in loops(world)[name]:
        host, kind, *values = record if record[0] in ("z", "s", "self", "other") else ("", *record)
        world.names.set(f"{host}.{domain}" if host else domain, kind, *values)
    accepted = world.gateway.log().count("message accepted")
    message = world.send(f"a@{domain}")
    delivery = world.until(f"a@{domain}", "returned")
    assert delivery["status"] == "5.4.6", delivery
    assert "Status: 5.4.6" in world.report(message)
    assert world.gateway.log().count("message accepted") == accepted + 1  # only what we handed in


def test_a_better_host_before_ourselves_is_asked_and_none_behind_us(world):
    better, worse = world.host("better.middle.example"), world.host("worse.middle.example")
    world.names.set("middle.example", "MX", "10 better.middle.example.", "20 mx.clinic.example.",
                    "30 worse.middle.example.")
    world.send("a@middle.example")
    better.wait_for(1)
    better.answers["RCPT"] = "450 4.2.0 later"
    world.send("b@middle.example")
    assert world.settle(["b@middle.example"])["b@middle.example"]["state"] == "waiting"
    assert not worse.sessions


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.0.1", "169.254.1.1", "172.16.0.9", "100.64.0.1",
                                     "224.0.0.1", "255.255.255.255"])
def test_a_private_address_is_no_destination_of_mail_from_outside(world, address):
    domain = f"private-{address.replace('.', '-')}.verified.example"
    world.names.set(f"mx.{domain}", "A", address)
    world.names.set(domain, "MX", f"10 mx.{domain}.")
    world.send(f"a@{domain}")
    delivery = world.until(f"a@{domain}", "held")  # impossible: the next rung
    assert delivery["status"] == "5.4.4", delivery


def test_mail_to_an_address_literal_goes_there_and_sends_no_server_name(world):
    server = world.host("literal.example")
    world.send(f"a@[{server.address}]")
    server.wait_for(1)
    assert world.until(f"a@[{server.address}]", "delivered")["host"] == server.address


def test_the_letter_goes_to_the_mail_host_once_its_name_is_known_again(world):
    host = world.host("mx.mx-timeout.example")
    world.names.set("mx-timeout.example", "MX", "10 mx.mx-timeout.example.")

    def tried_again():  # the resolver itself remembers a failure for some seconds
        world.forward(600)
        return world.deliveries()["a@mx-timeout.example"]["state"] == "delivered"
    wait_until_slowly(tried_again, 30)
    assert len(host.messages) == 1
    assert not world.web["timeout"].sessions


def test_nothing_was_said_in_the_clear_and_nobody_died(world):
    world.assert_nothing_in_clear()
    assert world.gateway.roles() == world.pids
    world.steady()

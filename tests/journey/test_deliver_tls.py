# SPDX-License-Identifier: ISC
"""What a peer must prove: certificates of every wrong kind, old and weak TLS, and handshakes that break, each by
the levels `encrypt`, `verify` and `secure`; and that none of it is ever a reason to do without."""

import socket
import ssl
import subprocess

import pytest

from odd_certificates import OddAuthority
from sending import Outside, assert_no_command

RULES = """\
send "e" when to ".e.example" by { tls encrypt for 3 days, hold }
send "v" when to ".v.example" by { tls verify for 3 days, hold }
send "s" when to ".s.example" by { tls secure named "pinned.bank.example" for 3 days, hold }
send "two names" when to ".t.example" by { tls secure named "a.bank.example" or "b.bank.example", hold }
send "unnamed" when to ".u.example" by { tls secure, tls secure named "pinned.bank.example", hold }
send "or returned" when to ".r.example" by { tls verify for 3 days, return }
send "all" by { tls encrypt, return }"""
LEVELS = ("e", "v", "s")


def der_of_names(*names):
    """subjectAltName octets, for names that no tool would write."""
    parts = b"".join(b"\x82" + bytes([len(name)]) + name for name in names)
    return "DER:" + (b"\x30" + bytes([len(parts)]) + parts).hex(":")


# name of the row: (how to issue it for this host, levels at which it delivers)
CERTIFICATES = {
    "the right name": (lambda o, h: o.issue("a", f"DNS:{h}"), "ev"),
    "the right name among others": (lambda o, h: o.issue("a", f"DNS:x.invalid,DNS:{h},DNS:y.invalid"), "ev"),
    "the right name in capitals": (lambda o, h: o.issue("a", f"DNS:{h.upper()}"), "ev"),
    "a chain by an intermediate": (lambda o, h: o.chained(h, True), "ev"),
    "RSA of 2048 bits": (lambda o, h: o.issue("a", f"DNS:{h}", key=o.rsa2048), "ev"),
    "expired": (lambda o, h: o.issue("a", f"DNS:{h}", end="20210101000000Z"), "e"),
    "not yet valid": (lambda o, h: o.issue("a", f"DNS:{h}", start="20980101000000Z"), "e"),
    "another name": (lambda o, h: o.issue("a", "DNS:mx.other.example"), "e"),
    "the domain's name and not the host's": (lambda o, h: o.issue("a", f"DNS:{h.split('.', 1)[1]}"), "e"),
    "a common name alone": (lambda o, h: o.issue("a", "", common_name=h), "e"),
    "a common name beside another name": (lambda o, h: o.issue("a", "DNS:other.example", common_name=h), "e"),
    "a wildcard for the host's label": (lambda o, h: o.issue("a", f"DNS:*.{h.split('.', 1)[1]}"), "ev"),
    "a wildcard for two labels": (lambda o, h: o.issue("a", f"DNS:*.{h.split('.', 2)[2]}"), "e"),
    "a wildcard in the middle": (lambda o, h: o.issue("a", f"DNS:mx.*.{h.split('.', 2)[2]}"), "e"),
    "a wildcard for part of a label": (lambda o, h: o.issue("a", f"DNS:m*.{h.split('.', 1)[1]}"), "e"),
    "a wildcard alone": (lambda o, h: o.issue("a", "DNS:*"), "e"),
    "a wildcard for a whole top level": (lambda o, h: o.issue("a", "DNS:*.example"), "e"),
    "its address only": (lambda o, h: o.issue("a", "IP:127.0.2.1"), "e"),
    "its name as an address of mail": (lambda o, h: o.issue("a", f"email:a@{h}"), "e"),
    "its name as a URI": (lambda o, h: o.issue("a", f"URI:https://{h}/"), "e"),
    "no alternative names": (lambda o, h: o.issue("a", der_of_names()), "e"),
    "an empty name": (lambda o, h: o.issue("a", der_of_names(b"")), "e"),
    "NUL behind the name": (lambda o, h: o.issue("a", der_of_names(h.encode() + b"\0.evil.example")), "e"),
    "NUL at the end of the name": (lambda o, h: o.issue("a", der_of_names(h.encode() + b"\0")), "e"),
    "a blank before the name": (lambda o, h: o.issue("a", der_of_names(b" " + h.encode())), "e"),
    "a root that nobody trusts": (lambda o, h: o.issue("a", f"DNS:{h}", signer=o.untrusted), "e"),
    "its root of the same name sent along": (
        lambda o, h: o.issue("a", f"DNS:{h}", signer=o.untrusted, chain=[o.untrusted[0]]), "e"),
    "a missing intermediate": (lambda o, h: o.chained(h, False), "e"),
    "an expired intermediate": (lambda o, h: o.issue("a", f"DNS:{h}", signer=o.old, chain=[o.old[0]]), "e"),
    "signed by a leaf": (lambda o, h: o.issue("a", f"DNS:{h}", signer=o.leaf, chain=[o.leaf[0]]), "e"),
    "for clients only": (lambda o, h: o.issue("a", f"DNS:{h}", usage="clientAuth"), "e"),
    "RSA of 1024 bits": (lambda o, h: o.issue("a", f"DNS:{h}", key=o.rsa1024), ""),
    "signed by SHA-1": (lambda o, h: o.issue("a", f"DNS:{h}", digest="sha1"), "e"),
    "signed by MD5": (
        lambda o, h: o.issue("a", f"DNS:{h}", digest="md5", signer=o.rsa_middle, chain=[o.rsa_middle[0]]), "e"),
    "signed by an RSA intermediate": (
        lambda o, h: o.issue("a", f"DNS:{h}", signer=o.rsa_middle, chain=[o.rsa_middle[0]]), "ev"),
    "the pinned name": (lambda o, h: o.issue("a", "DNS:pinned.bank.example"), "es"),
    "the pinned name below a wildcard": (lambda o, h: o.issue("a", "DNS:*.bank.example"), "es"),
    "the pinned name, expired": (lambda o, h: o.issue("a", "DNS:pinned.bank.example", end="20210101000000Z"), "e"),
    "the pinned name by a stranger": (
        lambda o, h: o.issue("a", "DNS:pinned.bank.example", signer=o.untrusted), "e"),
    "host and pinned name": (lambda o, h: o.issue("a", f"DNS:{h},DNS:pinned.bank.example"), "evs"),
}


def weak_context(pair):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(*pair)
    return context


def old_context(pair, lowest, highest, ciphers="DEFAULT:@SECLEVEL=0"):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = lowest, highest
        context.set_ciphers(ciphers)
    context.load_cert_chain(*pair)
    return context


V1, V11, V12, V13 = (getattr(ssl.TLSVersion, name) for name in ("TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"))
# Peers by protocol and cipher; True: a letter goes over it by every level whose name fits.
PROTOCOLS = {
    "TLS 1.0 only": (lambda p: old_context(p, V1, V1), False),
    "TLS 1.1 only": (lambda p: old_context(p, V11, V11), False),
    "TLS 1.0 and 1.1": (lambda p: old_context(p, V1, V11), False),
    "TLS 1.2 only": (lambda p: old_context(p, V12, V12), True),
    "TLS 1.3 only": (lambda p: old_context(p, V13, V13), True),
    "no forward secrecy": (lambda p: old_context(p, V12, V12, "AES128-GCM-SHA256:AES256-SHA:@SECLEVEL=0"), False),
    "CBC only": (lambda p: old_context(p, V12, V12, "ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA:@SECLEVEL=0"), False),
    "no key exchange that is known": (lambda p: old_context(p, V12, V12, "AECDH-AES128-SHA:@SECLEVEL=0"), False),
    "a small group only": (lambda p: small_group(p, "DHE-RSA-AES128-GCM-SHA256"), False),
    "a small group preferred": (
        lambda p: small_group(p, "DHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"), True),
}


def small_group(pair, ciphers):
    context = old_context(pair, V12, V12, f"{ciphers}:@SECLEVEL=0")
    context.load_dh_params(str(small_group.parameters))
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def say_in_clear(data, waits=True):
    """Answers STARTTLS with 220 and then no handshake, but this: after the ClientHello, or in one segment with
    the 220."""
    def run(server, session, line):
        if session.tls:
            return None
        session.connection.sendall(b"220 go\r\n" if waits else b"220 go\r\n" + data)
        try:
            session.connection.settimeout(10)
            while waits and session.connection.recv(65536) and data is None:
                pass
            if waits and data:
                session.connection.sendall(data)
            while session.connection.recv(65536):
                pass
        except OSError:
            pass
        return "CLOSE"
    return run


def close_after_220(server, session, line):
    session.connection.sendall(b"220 go\r\n")
    return "CLOSE"


ALERT = bytes.fromhex("15030300020228")  # handshake_failure
# How the handshake breaks, and what becomes of a letter by { tls encrypt for 3 days, hold }.
BROKEN = {
    "silence": (say_in_clear(None), "waiting"),
    "the end of the line": (close_after_220, "waiting"),
    "plain text": (say_in_clear(b"hello, who is there?\r\n"), "held"),
    "an alert": (say_in_clear(ALERT), "held"),
    "zeros": (say_in_clear(bytes(4096)), "held"),
    "a reply behind the 220": (say_in_clear(b"250-mx\r\n250 SIZE 1\r\n", waits=False), "waiting"),
    "half a line behind the 220": (say_in_clear(b"250-X", waits=False), "waiting"),
    "an octet behind the 220": (say_in_clear(b"\x16", waits=False), "waiting"),
}


def key_of(name):
    return "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-")


@pytest.fixture(scope="module")
def world(shared_internet):
    outside = Outside(shared_internet)
    odd = OddAuthority(shared_internet.authority, shared_internet.folder / "odd")
    odd.untrusted = odd.stranger()
    odd.rsa1024, odd.rsa2048 = odd.rsa(1024), odd.rsa(2048)
    odd.middle, odd.old = odd.intermediate(), odd.intermediate(end="20210101000000Z")
    odd.rsa_middle = odd.intermediate(key=odd.rsa2048)
    odd.leaf = odd.issue("leaf", "DNS:leaf.example")
    odd.chained = lambda h, whole: odd.issue("a", f"DNS:{h}", signer=odd.middle,
                                             chain=[odd.middle[0]] if whole else [])
    small_group.parameters = shared_internet.folder / "group.pem"
    subprocess.run(["openssl", "dhparam", "-dsaparam", "-out", small_group.parameters, "1024"], check=True,
                   capture_output=True)
    outside.odd, recipients = odd, []

    def peer(domain, **options):
        server = outside.domain(domain, **options)
        recipients.append(f"a@{domain}")
        return server

    for name, (issue, _) in CERTIFICATES.items():
        for level in LEVELS:  # one host for all levels, so that the certificate is one
            domain = f"{key_of(name)}.{level}.example"
            outside.names.set(domain, "MX", f"10 mx.{key_of(name)}.peer.example.")
            recipients.append(f"a@{domain}")
        host = f"mx.{key_of(name)}.peer.example"
        outside.host(host, certificate=None, context=weak_context(issue(odd, host)))
    for name, (context, _) in PROTOCOLS.items():
        for level in "ev":
            domain = f"{key_of(name)}.{level}.example"
            pair = odd.issue("p", f"DNS:mx.{domain}", key=odd.rsa2048)
            peer(domain, certificate=None, context=context(pair))
    outside.broken = {}
    for name, (answer, _) in BROKEN.items():
        outside.broken[name] = peer(f"{key_of(name)}.broken.e.example", answers={"STARTTLS": answer})
    outside.start(RULES)
    for recipient in recipients:
        outside.send(recipient)
    outside.found = outside.settle(recipients, 60)
    return outside


@pytest.mark.parametrize("name", CERTIFICATES)
@pytest.mark.parametrize("level", LEVELS)
def test_a_certificate_proves_what_it_proves_and_no_more(world, name, level):
    delivery = world.found[f"a@{key_of(name)}.{level}.example"]
    if level in CERTIFICATES[name][1]:
        assert delivery["state"] == "delivered", delivery
        assert delivery["mechanism"] == {"e": "none", "v": "pkix", "s": "pin"}[level]
    else:
        assert delivery["state"] == "held", delivery


@pytest.mark.parametrize("level", "ev")
@pytest.mark.parametrize("name", PROTOCOLS)
def test_old_and_weak_tls_carries_nothing_and_what_is_better_is_found(world, name, level):
    delivery = world.found[f"a@{key_of(name)}.{level}.example"]
    assert delivery["state"] == ("delivered" if PROTOCOLS[name][1] else "held"), delivery
    if delivery["state"] == "delivered":
        assert delivery["tls_version"] in ("TLSv1.2", "TLSv1.3")
        assert "DHE-RSA" not in delivery["tls_cipher"].replace("ECDHE-RSA", "")


@pytest.mark.parametrize("name", BROKEN)
def test_a_handshake_that_breaks_is_never_followed_by_plain_speech(world, name):
    delivery = world.found[f"a@{key_of(name)}.broken.e.example"]
    assert delivery["state"] == BROKEN[name][1], delivery
    server = world.broken[name]
    assert not server.messages
    for session in server.sessions:
        assert_no_command(session)
        assert session.clear.count(b"EHLO") == 1  # nor was anything asked again
    if "behind" in name:
        assert "tampering" in delivery["what"]


def test_a_starttls_that_is_not_ready_waits_on_its_rung_and_then_goes_by_tls(world):
    server = world.domain("notnow.e.example", answers={"STARTTLS": ["454 4.7.0 later", "454 4.7.0 later", "220 go"]})
    world.send("a@notnow.e.example")
    world.until("a@notnow.e.example", "waiting", attempts=1)
    world.forward(200)
    world.until("a@notnow.e.example", "waiting", attempts=2)
    world.forward(400)
    server.wait_for(1)
    assert server.messages[0].tls
    for session in server.sessions:
        assert_no_command(session)


@pytest.mark.parametrize("level", "evs")
def test_a_peer_without_starttls_or_without_ehlo_gets_nothing(world, level):
    bare = world.domain(f"bare.{level}.example", certificate=None)
    deaf = world.domain(f"deaf.{level}.example", answers={"EHLO": "502 5.5.1 what?", "HELO": "250 hello"})
    busy = world.domain(f"busy.{level}.example", answers={"EHLO": "421 4.3.2 closing: come again"})
    for name in ("bare", "deaf", "busy"):
        world.send(f"a@{name}.{level}.example")
    assert world.until(f"a@bare.{level}.example", "held")["status"] == "5.7.4"
    assert world.until(f"a@deaf.{level}.example", "held")["status"] == "5.7.4"
    message = world.until(f"a@busy.{level}.example", "waiting", attempts=1)["message"]
    assert "come again" in world.internet.trace(message)
    for server in (bare, deaf, busy):
        assert not server.messages
        for session in server.sessions:
            assert_no_command(session)
            assert b"HELO" not in session.clear  # no way round


def test_after_the_handshake_only_the_second_ehlo_counts(world):
    def extensions(server, session, line):
        if not session.tls:
            return "250-mx\n250-SIZE 10\n250-CHUNKING\n250 STARTTLS"
        return "250-mx\n250-STARTTLS\n250-8BITMIME\n250 SIZE 50000000"
    server = world.domain("forgets.e.example", answers={"EHLO": extensions})
    world.send("a@forgets.e.example", text=b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 15000)
    server.wait_for(1)
    session = server.sessions[-1]
    assert session.lines.count("STARTTLS") == 1 and "DATA" in session.lines
    assert not any(line.startswith("BDAT") for line in session.lines)


def test_tls_secure_without_names_is_impossible_as_yet_and_climbed_past(world):
    world.domain("pinned.u.example", certificate=world.odd.issue("u", "DNS:pinned.bank.example"))
    other = world.domain("other.u.example", certificate="good")
    message = world.send("a@pinned.u.example")
    world.send("a@other.u.example")
    assert world.until("a@pinned.u.example", "delivered")["mechanism"] == "pin"
    assert "secure needs DANE or MTA-STS" in " ".join(world.internet.trace(message).split())
    world.until("a@other.u.example", "held")
    assert not other.messages


def test_either_of_two_names_will_do_and_no_third(world):
    for name, wanted in (("a", "delivered"), ("b", "delivered"), ("c", "held")):
        pair = world.odd.issue("t", f"DNS:{name}.bank.example")
        world.domain(f"{name}.t.example", certificate=pair)
        world.send(f"a@{name}.t.example")
        world.until(f"a@{name}.t.example", wanted)


def test_where_only_return_is_left_a_certificate_may_be_mended_in_time(world):
    server = world.domain("mended.r.example", certificate=world.odd.issue("m", "DNS:wrong.example"))
    world.send("a@mended.r.example")
    world.until("a@mended.r.example", "waiting", attempts=1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*world.odd.issue("m", "DNS:mx.mended.r.example"))
    server.context = context
    world.forward(200)
    server.wait_for(1)
    assert world.until("a@mended.r.example", "delivered")["mechanism"] == "pkix"


def test_neither_a_failed_handshake_nor_the_tenth_retry_teaches_to_do_without(world):
    """One peer whose handshake always breaks, one whose certificate is a stranger's; plain speech would work."""
    alert = world.domain("never.example", answers={"STARTTLS": say_in_clear(ALERT)})
    wrong = world.domain("stranger.r.example", certificate=world.odd.issue(
        "s", "DNS:mx.stranger.r.example", signer=world.odd.untrusted))
    for domain in ("never.example", "stranger.r.example"):
        world.send(f"a@{domain}")
    for attempt in range(1, 11):
        for domain in ("never.example", "stranger.r.example"):
            world.until(f"a@{domain}", "waiting", attempts=attempt)
        if attempt == 1:
            world.send("another@never.example", sender="ward@clinic.example")
        world.forward(2 * 3600)
    world.until("another@never.example", "waiting", attempts=5)
    assert not alert.messages and not wrong.messages
    for server in (alert, wrong):
        for session in server.sessions:
            assert_no_command(session)
            assert "STARTTLS" in session.lines


def test_the_server_name_is_the_mail_host_and_never_the_domain(world):
    asked = []
    pair = world.odd.issue("n", "DNS:mx.by-name.peer.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    context.sni_callback = lambda connection, name, _: asked.append(name)
    world.host("mx.by-name.peer.example", certificate=None, context=context)
    world.names.set("by-name.v.example", "MX", "10 mx.by-name.peer.example.")
    world.send("a@by-name.v.example")
    world.until("a@by-name.v.example", "delivered")
    assert asked == ["mx.by-name.peer.example"]


def test_a_line_closed_without_a_notice_after_the_last_reply_is_a_delivery(world):
    def cut(server, session, line):
        session.send("250 2.0.0 taken")
        raw = session.connection.detach()
        socket.socket(fileno=raw).close()
        raise EOFError
    server = world.domain("rude.e.example", answers={"END": cut})
    world.send("a@rude.e.example")
    world.until("a@rude.e.example", "delivered")
    assert sum(s.sealed.count(b"MAIL FROM") for s in server.sessions) == 1


def test_a_line_closed_without_a_notice_before_the_last_reply_is_none(world):
    def cut(server, session, line):
        raw = session.connection.detach()
        socket.socket(fileno=raw).close()
        raise EOFError
    world.domain("cut.e.example", answers={"END": cut})
    message = world.send("a@cut.e.example")
    world.until("a@cut.e.example", "waiting", attempts=1)
    assert "may arrive twice" in " ".join(world.internet.trace(message).split())


def test_the_journal_claims_what_this_session_proved_and_no_more(world):
    rows = (("the right name", "v", "pkix"), ("host and pinned name", "s", "pin"), ("expired", "e", "none"))
    for name, level, mechanism in rows:
        delivery = world.found[f"a@{key_of(name)}.{level}.example"]
        trace = " ".join(world.internet.trace(delivery["message"]).split())
        assert delivery["mechanism"] == mechanism
        assert f"mx.{key_of(name)}.peer.example (127.0." in trace and "TLSv1.3" in trace
        assert ("its certificate not verified" in trace) == (mechanism == "none"), trace
    world.names.set("mx.refuses.e.example", "A", world.address())
    world.names.set("refuses.e.example", "MX", "10 mx.refuses.e.example.")
    message = world.send("a@refuses.e.example")
    world.until("a@refuses.e.example", "waiting", attempts=1)
    trace = " ".join(world.internet.trace(message).split())
    assert "refused" in trace and "AAAA" not in trace


def test_nothing_was_said_in_the_clear_and_nobody_died(world):
    world.assert_nothing_in_clear()
    assert world.gateway.roles() == world.pids
    world.steady()

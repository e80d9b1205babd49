# SPDX-License-Identifier: ISC
"""The same bytes by real servers: a hospital's Postfix hands letters to the gateway, which delivers them to a
Postfix of a partner and to the Dovecot behind our own domain. What those stored is compared with what the
first Postfix says to a scripted server, in the same transaction, without a gateway between."""

import contextlib
import os
import re

import pytest

from conftest import POLICY, wait_until
from lab.client import Client
from lab.dovecot import Dovecot
from lab.postfix import Postfix
from lab.processes import free_port
from lab.scripted import ScriptedServer
from letters import PUBLIC_SETS, flaw, name_of, own_letters, public_letters
from test_bytes import EXTENSIONS, NURSE, RULES, digest, make_internet, needs, with_line_end

STEP = 5  # make check sends every fifth letter of a public set; all of them are for make check-long
PARTNER, WARD, REFERENCE = "records@partner.example", "ward3@clinic.example", "x@reference.example"
CERTIFIED = POLICY.replace('listen relay port {relay} on "127.0.0.1" trusting network "127.0.0.0/8"',
                           'listen relay port {relay} on "127.0.0.1" trusting certificate "mail.clinic.example"')
# What a Postfix would change by itself, switched off: here it is to be a pipe.
FAITHFUL = {
    "always_add_missing_headers": "no", "local_header_rewrite_clients": "", "remote_header_rewrite_domain": "",
    "undisclosed_recipients_header": "", "message_drop_headers": "", "smtp_line_length_limit": "0",
    "header_size_limit": "2000000", "hopcount_limit": "100", "smtpd_data_restrictions": "",
    "in_flow_delay": "0", "smtpd_junk_command_limit": "1000000", "smtp_mx_session_limit": "2",
}
# What each server puts on top of what it stores.
STORED_ON_TOP = {"postfix": [b"return-path", b"x-original-to", b"delivered-to", b"received"],
                 "dovecot": [b"return-path", b"delivered-to"]}
OURS = re.compile(rb"\sby mx\.clinic\.example\s+with ESMTPS\s")
FIELD = re.compile(rb"[!-9;-~]+[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*")


class Hospital:
    """The hospital's own server, the gateway, and what is behind it."""

    def __init__(self, folder, authority, peers):
        self.internet = make_internet(folder, authority, "real")
        internet, ports = self.internet, self.internet.ports
        internet.names.set("partner.example", "MX", "10 mx.partner.example.")
        internet.names.set("mx.partner.example", "A", "127.0.1.1")
        self.partner = Postfix(peers, internet.folder / "partner", "127.0.1.1", ports["mx"], "mx.partner.example",
                               ["partner.example"], *authority.issue("mx.partner.example"), options=FAITHFUL)
        self.mailboxes = Dovecot(peers, internet.folder / "dovecot", "127.0.0.1", ports["lmtp"])
        self.reference = ScriptedServer("127.0.0.1", free_port(), *authority.issue("reference.example"),
                                        extensions=EXTENSIONS)
        ways = internet.folder / "ways"
        ways.write_text(f"reference.example smtp:[127.0.0.1]:{self.reference.port}\n")
        self.server = Postfix(peers, internet.folder / "hospital", "127.0.0.1", free_port(), "mail.clinic.example",
                              relay_to=("127.0.0.1", ports["relay"]), relay_tls="encrypt",
                              **dict(zip(("client_certificate", "client_key"),
                                         authority.issue("mail.clinic.example"))),
                              options={**FAITHFUL, "transport_maps": f"texthash:{ways}"})
        self.parts = [self.partner, self.mailboxes, self.reference, self.server]

    def start(self):
        for part in self.parts:
            part.start()
        self.internet.start(RULES, template=CERTIFIED)
        return self

    def stop(self):
        for part in reversed(self.parts):
            part.stop()
        self.internet.stop()

    def send(self, letters):
        """Hands them to the hospital's server for all three; {its queue id: name}."""
        names = {}
        with Client(self.server.port) as client:
            client.hello()
            for name, text in letters:
                client.envelope(NURSE, PARTNER, WARD, REFERENCE)
                answer = client.data(with_line_end(text))
                assert answer.startswith("250 "), (name, answer)
                names[answer.rsplit(" ", 1)[1].encode()] = name
        return names

    def differences(self, names, before):
        """What the two servers stored otherwise than the reference got it, as a list of sentences."""
        said = {}
        for message in self.reference.wait_for(before["reference"] + len(names), 120)[before["reference"]:]:
            said[queue_id(message.data)] = message.data.replace(b"\r\n", b"\n")
        assert set(said) == set(names)
        problems = []
        for server, stored in (("postfix", lambda: self.partner.messages("partner.example")),
                               ("dovecot", lambda: self.mailboxes.messages(WARD))):
            self.wait(lambda: len(stored()) >= before[server] + len(names))
            seen = {}
            for data in stored():
                below = below_our_received(data, STORED_ON_TOP[server])
                identity = queue_id(below)
                if identity not in names:
                    continue  # of an earlier test
                seen[identity] = seen.get(identity, 0) + 1
                if digest(below) != digest(said[identity]):
                    problems.append(f"{names[identity]}, {server}: stored otherwise than it was sent")
            problems += [f"{name}, {server}: stored {seen.get(identity, 0)} times"
                         for identity, name in names.items() if seen.get(identity) != 1]
        return problems

    @staticmethod
    def wait(condition):
        """Whatever is missing then is told by its name."""
        with contextlib.suppress(AssertionError):
            wait_until(condition, "all letters", 90)

    def counts(self):
        return {"reference": len(self.reference.messages), "postfix": len(self.partner.messages("partner.example")),
                "dovecot": len(self.mailboxes.messages(WARD))}


def queue_id(data):
    """Of the hospital's server, whose Received field is on top."""
    field = FIELD.match(data.replace(b"\r\n", b"\n"))
    assert field and b"by mail.clinic.example (Postfix)" in field.group(), data[:300]
    return re.search(rb"\sid ([0-9A-Za-z]+)", field.group())[1]


def below_our_received(data, on_top):
    """What stands below our Received field, above which stands what the storing server adds, no more."""
    at, names = 0, []
    while field := FIELD.match(data, at):
        at = field.end()
        if name_of(field.group()) == b"received" and OURS.search(field.group()):
            assert names == on_top, names
            return data[at:]
        names.append(name_of(field.group()))
    raise AssertionError(f"our Received field is not there: {data[:400]!r}")


@pytest.fixture(scope="module")
def hospital(folder, authority, peers):
    if os.getuid() != 0:
        pytest.skip("a real Postfix starts as root alone")
    made = Hospital(folder, authority, peers)
    try:
        yield made.start()
    finally:
        made.stop()


def compare(hospital, letters):
    """Sends those that are sound, once each of their lines ends in CRLF and the first server has added its field;
    how many they were, after all of them were found the same."""
    letters = [(name, re.sub(rb"(?<!\r)\n", b"\r\n", text)) for name, text in letters]
    sound = [(name, text) for name, text in letters if not flaw(b"Received: by mail.clinic.example\r\n" + text)]
    before = hospital.counts()
    problems = hospital.differences(hospital.send(sound), before)
    assert not problems, "\n".join(problems)
    return len(sound)


def test_our_own_set_is_stored_by_real_servers_as_it_was_sent(hospital, counts):
    count = compare(hospital, own_letters())
    counts(f"our own set: {count} letters, from Postfix by the gateway to Postfix and Dovecot, came whole")


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_a_sample_of_a_public_set_is_stored_by_real_servers_as_it_was_sent(hospital, counts, name):
    needs(name)
    count = compare(hospital, public_letters(name, STEP))
    counts(f"{name}, every {STEP}th: {count} letters, from Postfix by the gateway to Postfix and Dovecot, came whole")


@pytest.mark.long
@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_each_letter_of_a_public_set_is_stored_by_real_servers_as_it_was_sent(hospital, counts, name):
    needs(name)
    count = compare(hospital, public_letters(name))
    counts(f"{name}: {count} letters, from Postfix by the gateway to Postfix and Dovecot, came whole")

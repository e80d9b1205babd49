# SPDX-License-Identifier: ISC
"""Stopping, reloading, and policies that cannot be used (S54, S56, S57 and their kind): nobody is turned
away for good."""

import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import pytest
from conftest import BUILD, POLICY, wait_until
from receiving import LETTER, RULES, STAFF, Clinic, everything, is_silent

REFUSE = 'refuse "not today" when subject has "forbidden"\n' + RULES


@pytest.fixture
def clinic(internet):
    return Clinic(internet, {"receive.sessions_per_address": 1000})


def letter(number):
    return b"Subject: letter-%d-\r\n\r\nx\r\n" % number


def numbers(server):
    return sorted(int(n) for m in server.messages for n in re.findall(rb"letter-(\d+)-", m.data))


def in_data(clinic, number):
    client = clinic.say()
    client.envelope("a@partner.example", "nurse@clinic.example")
    assert client.ask("DATA").startswith("354")
    client.send(letter(number))
    return client


# ---- stopping ----

def test_sigterm_turns_nobody_away_for_good_and_keeps_each_250(clinic):
    clinic.settle()  # all roles have opened the store, which is locked for a moment below
    idle = [clinic.say() for _ in range(20)]
    greeted = [clinic.say(hello=False) for _ in range(5)]
    enveloped = [clinic.say() for _ in range(5)]
    for client in enveloped:
        client.envelope("a@partner.example", "nurse@clinic.example")
    writing = [in_data(clinic, number) for number in range(20)]
    chunked = [clinic.say() for _ in range(5)]
    for number, client in enumerate(chunked):
        client.envelope("a@partner.example", "nurse@clinic.example")
        text = letter(40 + number)
        client.send(b"BDAT %d LAST\r\n" % len(text) + text[:9])
    ended = [in_data(clinic, 20 + number) for number in range(20)]
    store = sqlite3.connect(next(clinic.gateway.state.glob("**/store.sqlite")), isolation_level=None)
    store.execute("BEGIN IMMEDIATE")  # nothing commits until this ends
    for client in ended:
        client.send(".\r\n")
    assert all(is_silent(client, 0.02) for client in ended), "a reply before the commit"
    clinic.gateway.process.send_signal(signal.SIGTERM)
    for client in idle + greeted + enveloped:
        assert everything(client) == ["421 4.3.2 This server is going down, try again shortly"]
    store.execute("ROLLBACK")
    store.close()
    for client in writing:
        client.send(".\r\n")
    for number, client in enumerate(chunked):
        client.send(letter(40 + number)[9:])
    promised = []
    for first, clients in ((20, ended), (0, writing), (40, chunked)):
        for number, client in enumerate(clients, first):
            answers = everything(client)
            assert answers and all(re.match("250 2.0.0|421 4.3.2", answer) for answer in answers), answers
            if answers[0].startswith("250"):
                promised.append(number)
    assert clinic.gateway.process.wait(30) == 0
    assert len(promised) == 45, "who was in time is taken"
    clinic.gateway.start()
    wait_until(lambda: len(set(numbers(clinic.inside))) >= len(promised), "every message that got a 250")
    clinic.settle()
    assert numbers(clinic.inside) == sorted(promised)
    clinic.gateway.command("audit", "verify", check=True)


@pytest.mark.long
def test_who_never_ends_its_message_gets_421_when_the_grace_is_over(clinic):
    writing = [in_data(clinic, number) for number in range(10)]
    clinic.gateway.process.send_signal(signal.SIGTERM)
    for client in writing:
        assert [line[:9] for line in everything(client, 30)] == ["421 4.3.2"]
    assert clinic.gateway.process.wait(30) == 0
    clinic.gateway.start()
    clinic.settle()
    assert numbers(clinic.inside) == []


def test_a_stop_command_ends_the_gateway_as_sigterm_does(clinic):
    client = clinic.say()
    clinic.gateway.command("stop", check=True)
    assert [line[:9] for line in everything(client)] == ["421 4.3.2"]
    assert clinic.gateway.process.wait(30) == 0


# ---- reloading ----

def loads(clinic):
    return clinic.gateway.log().count("the policy was loaded anew")


def refusals(clinic):
    log = clinic.gateway.log()
    return log.count("the one in force stays") + log.count("only a restart can change")


def reload(clinic, policy, counts):
    before = counts(clinic)
    clinic.gateway.reload(policy)
    wait_until(lambda: counts(clinic) > before, "a reload")


def send_forbidden(clinic):
    with clinic.say("relay") as client:
        client.envelope("nurse@clinic.example", "a@partner.example")
        return client.data(b"Subject: forbidden\r\n\r\nx\r\n")[:9]


def wait_for_rule(clinic, wanted):
    """Roles take a reload up one after the other: until the new rule is asked."""
    wait_until(lambda: send_forbidden(clinic) == wanted, "the new rule")


def test_a_reload_interrupts_no_session_and_holds_from_the_next_message_on(clinic):
    clients = [clinic.say("relay") for _ in range(3)]
    for client in clients[1:]:
        client.envelope("nurse@clinic.example", "a@partner.example")
    assert clients[2].ask("DATA").startswith("354")
    reload(clinic, clinic.internet.policy(REFUSE, STAFF), loads)
    wait_for_rule(clinic, "550 5.7.1")
    # Begun before: decided by the policy that it began under.
    clients[2].send(b"Subject: forbidden\r\n\r\nx\r\n.\r\n")
    assert clients[2].reply().startswith("250")
    assert clients[1].data(b"Subject: forbidden\r\n\r\nx\r\n").startswith("250")
    # And the next one on any of them by the new one.
    for client in clients:
        client.envelope("nurse@clinic.example", "a@partner.example")
        answer = client.data(b"Subject: a forbidden word\r\n\r\nx\r\n")
        assert answer.startswith("550 5.7.1") and "not today" in answer
        client.envelope("nurse@clinic.example", "a@partner.example")
        assert client.data(LETTER).startswith("250")
    reload(clinic, clinic.internet.policy(RULES, STAFF), loads)
    wait_for_rule(clinic, "250 2.0.0")
    clinic.steady()


WRONG = [
    ('send "all" by { tls encrpyt, return }', "encrypt"), ('sned "all" by { tls encrypt, return }', "send"),
    (RULES + "\nfoo", None), ('send "all" by nowhere', None), ('send "all" by { return, tls encrypt }', None),
    ("", None), (RULES + '\nhostname "b.example"', None), ('send "all" by { portal by code, return }', None),
    (RULES + '\n"', None), (RULES + "\n\0", None), (RULES + "\n\xff\xfe", None),
    ('send "all" when subject has "x" or to "a.example" and size over 1 MB by { tls encrypt, return }', None),
    ('send "all" by { cleartext }', None), ("{" * 5000, None), ('list x from "no-such-file.txt"\n' + RULES, None),
]


def test_a_policy_with_an_error_is_named_by_line_and_column_and_the_one_in_force_stays(clinic):
    reload(clinic, clinic.internet.policy(REFUSE, STAFF), loads)
    wait_for_rule(clinic, "550 5.7.1")
    client = clinic.say("relay")
    for rules, hint in WRONG:
        at = len(clinic.gateway.log())
        reload(clinic, clinic.internet.policy("RULES", STAFF).replace("RULES", rules), refusals)
        said = clinic.gateway.log()[at:]
        assert re.search(r"letterlock\.conf:\d+:\d+: error: ", said), (rules, said)
        assert hint is None or f"`{hint}`" in said, said
        assert send_forbidden(clinic) == "550 5.7.1", rules
    for damage in (lambda path: path.unlink(), lambda path: path.mkdir()):
        damage(clinic.gateway.policy_file)
        before = refusals(clinic)
        clinic.gateway.reload()
        wait_until(lambda: refusals(clinic) > before, "a reload")
        assert send_forbidden(clinic) == "550 5.7.1"
    clinic.gateway.policy_file.rmdir()
    clinic.gateway.policy_file.write_text("nonsense")
    # A role that dies meanwhile comes back under the policy in force, not under the file.
    clinic.gateway.kill_role("receive")
    wait_until(lambda: clinic.gateway.roles().get("receive") not in (None, clinic.pids["receive"]), "receive again")
    client.close()
    wait_for_rule(clinic, "550 5.7.1")
    clinic.pids = clinic.gateway.roles()
    clinic.steady()


def test_a_setting_that_only_a_restart_can_change_is_refused_by_a_reload(clinic):
    now = clinic.internet.policy(REFUSE, STAFF)
    smtp = clinic.internet.ports["smtp"]
    for change in (lambda p: p.replace(f"listen smtp port {smtp}", f"listen smtp port {smtp + 1}"),
                   lambda p: p.replace('trusting network "127.0.0.0/8"', 'trusting network "127.0.0.0/9"'),
                   lambda p: p.replace('"mx.clinic.example"', '"mx2.clinic.example"', 1),
                   lambda p: p.replace("/state", "/state2"),
                   lambda p: re.sub("listen submission .*\n", "", p)):
        changed = change(now)
        assert changed != now
        before = clinic.gateway.log().count("only a restart can change")
        clinic.gateway.reload(changed)
        wait_until(lambda: clinic.gateway.log().count("only a restart can change") > before, "a refusal")
        assert send_forbidden(clinic) == "250 2.0.0"
    clinic.steady()


def test_many_reloads_under_load_lose_and_interrupt_nothing(clinic):
    failures, ends = [], threading.Event()
    sent = []

    def load(first):
        number = first
        try:
            with clinic.say() as client:
                while not ends.is_set():
                    client.envelope("a@partner.example", "nurse@clinic.example")
                    assert client.data(letter(number)).startswith("250")
                    sent.append(number)
                    number += 1
                    time.sleep(0.005)
        except (AssertionError, OSError, EOFError) as problem:
            failures.append(problem)

    threads = [threading.Thread(target=load, args=(100000 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for number in range(20):
        reload(clinic, clinic.internet.policy(REFUSE if number % 2 else RULES, STAFF), loads)
    ends.set()
    for thread in threads:
        thread.join()
    assert not failures
    clinic.settle()
    wait_until(lambda: len(numbers(clinic.inside)) >= len(sent), "all of them")
    assert numbers(clinic.inside) == sorted(sent)
    clinic.steady()


# ---- starting ----

def check(internet, text):
    path = internet.folder / "wrong.conf"
    path.write_bytes(text.encode("latin-1"))
    result = subprocess.run([BUILD / "src/daemon/letterlockd", "-c", path, "-n"], capture_output=True, text=True,
                            errors="replace", timeout=30)
    return result.returncode, result.stderr


def test_a_policy_with_an_error_starts_nothing_and_says_where(internet):
    internet.inside()
    good = internet.policy(RULES, POLICY)
    assert check(internet, good)[0] == 0
    for rules, hint in WRONG:
        status, said = check(internet, internet.policy("RULES", POLICY).replace("RULES", rules))
        assert status == 1 and re.search(r"wrong\.conf:\d+:\d+: error: ", said), (rules, said)
        assert hint is None or f"`{hint}`" in said
    for line in good.splitlines()[:5]:  # each of the first settings is needed
        if line.startswith(("hostname", "state", "certificate")):
            assert check(internet, good.replace(line, ""))[0] == 1, line
    for wrong in (good.replace("mx.clinic.example.pem", "nothing.pem", 1),
                  good.replace("127.0.0.0/8", "127.0.0.0/33", 1),
                  good.replace(f"port {internet.ports['smtp']} ", "port 65536 ", 1), good.replace("10 MB", "10 XB"),
                  good.replace("10 MB", "2 GB"), good.replace('on "127.0.0.1"', 'on "192.0.2.1"', 1), good[:-30], "",
                  "\0" * 100,
                  good.replace('domains "clinic.example"', 'domains "clinic..example"'), good * 2):
        status, said = check(internet, wrong)
        assert status == 1 and said, wrong


@pytest.mark.parametrize("what", ["no file", "a key that does not fit", "no master key", "a port that is taken",
                                  "a state directory that is a file", "another gateway on the same state"])
def test_what_cannot_start_says_why_and_ends(internet, authority, what):
    policy = internet.policy(RULES)
    path = internet.folder / "start.conf"
    taken = None
    if what == "a key that does not fit":
        policy = re.sub(r' key "[^"]*"', f' key "{authority.issue("other.clinic.example")[1]}"', policy)
    elif what == "no master key":
        (internet.folder / "master.key").unlink()
    elif what == "a port that is taken":
        taken = socket.create_server(("127.0.0.1", internet.ports["relay"]))
    elif what == "a state directory that is a file":
        (internet.folder / "state").write_text("")
    elif what == "another gateway on the same state":
        internet.start(RULES)
        policy = re.sub(r"^listen (?!smtp ).*\n", "", policy, flags=re.M).replace(
            f"port {internet.ports['smtp']}", f"port {internet.ports['mx']}")
    if what != "no file":
        path.write_text(policy)
    result = subprocess.run([BUILD / "src/daemon/letterlockd", "-c", path], capture_output=True, text=True, timeout=30,
                            stdin=subprocess.DEVNULL)
    assert result.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT) and result.stderr.strip()
    if taken:
        taken.close()
    if internet.gateway:
        with internet.client("smtp") as client:
            assert client.hello().startswith("250")


# ---- keeping without waiting for the way out ----

def test_the_reply_to_the_final_dot_does_not_wait_for_a_next_hop(internet):
    internet.names.set("dead.example", "MX", "10 mx.dead.example.")
    internet.names.set("mx.dead.example", "A", "127.0.1.3")  # nobody listens there
    internet.names.set("slow.example", "MX", "TIMEOUT")
    clinic = Clinic(internet)
    silent = internet.mx("silent.example", "127.0.1.4", answers={"GREETING": "SILENCE"})
    for domain in ("dead.example", "slow.example", "silent.example"):
        with clinic.say("relay") as client:
            client.envelope("nurse@clinic.example", f"x@{domain}")
            client.socket.settimeout(10)
            assert client.data(LETTER).startswith("250"), domain
    wait_until(lambda: silent.sessions, "an attempt")
    clinic.steady()


@pytest.mark.parametrize("host, address", [("mx.clinic.example", "127.0.0.1"), ("localhost", "127.0.0.1"),
                                           ("other.loop.example", "127.0.0.1"), ("zero.loop.example", "0.0.0.0")])
def test_a_domain_whose_mx_is_ourselves_makes_no_circle(internet, host, address):
    template = STAFF.replace("port {mx}", "port {smtp}")  # so that an MX host at our address is our own listener
    internet.names.set("loop.example", "MX", f"10 {host}.")
    internet.names.set(host, "A", address)
    internet.inside()
    gateway = internet.start('send "all" by { tls encrypt, return }', template=template)
    message = internet.send("nurse@clinic.example", "x@loop.example")
    wait_until(lambda: "eturn" in internet.trace(message) or "held" in internet.trace(message), "an end")
    wait_until(lambda: "5.4.6" in internet.trace(message), "the reason")
    assert gateway.log().count("message accepted") == 1, gateway.log()
    report = internet.servers[0].wait_for(1)[0]
    assert report.sender == "" and report.recipients == ["nurse@clinic.example"]

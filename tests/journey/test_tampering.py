# SPDX-License-Identifier: ISC
"""Whoever can write into the database can neither read, redirect nor weaken: what was touched is held with the
reason, everything else is delivered, and the journal names its first bad row."""

import re
import sqlite3

import pytest

from conftest import wait_until
from sending import Outside

RULES = """\
hold "until tomorrow" when to ".held.example"
send "verified" when to ".v.example" by { tls verify, hold }
send "all" by { tls encrypt, return }"""
LONG = b"Subject: long\r\n\r\n" + (b"z" * 70 + b"\r\n") * 3000  # several chunks


def flip(value, at=0):
    octets = bytearray(value)
    octets[at] ^= 1
    return bytes(octets)


def flip_column(table, column, at=0):
    def change(database, message):
        value, = database.execute(f"SELECT {column} FROM {table} WHERE {key(table)} = ?", (message,)).fetchone()
        database.execute(f"UPDATE {table} SET {column} = ? WHERE {key(table)} = ?", (flip(value, at), message))
    return change


def key(table):
    return "id" if table == "message" else "message"


def set_column(column, expression, *values):
    return lambda database, message: database.execute(
        f"UPDATE delivery SET {column} = {expression} WHERE message = ?", (*values, message))


def flip_later_chunk(database, message):
    value, = database.execute("SELECT bytes FROM body WHERE message = ? AND number = 1", (message,)).fetchone()
    database.execute("UPDATE body SET bytes = ? WHERE message = ? AND number = 1", (flip(value, 100), message))


def swap_chunks(database, message):
    rows = dict(database.execute("SELECT number, bytes FROM body WHERE message = ?", (message,)).fetchall())
    database.execute("UPDATE body SET bytes = ? WHERE message = ? AND number = 1", (rows[2], message))
    database.execute("UPDATE body SET bytes = ? WHERE message = ? AND number = 2", (rows[1], message))


# What is changed while the gateway is stopped, and a word of the reason for which the delivery is held then.
TOUCHED = {
    "the body's first octet": (flip_column("message", "first_chunk", 0), "body"),
    "the body's last octet": (flip_column("message", "first_chunk", -1), "body"),
    "an octet of a later chunk": (flip_later_chunk, "body"),
    "the order of the chunks": (swap_chunks, "body"),
    "the body cut short": (lambda db, m: db.execute("UPDATE message SET chunks = 1 WHERE id = ?", (m,)), "body"),
    "the wrapped content key": (flip_column("message", "wrapped_content", 7), "keeper"),
    "the wrapped record key": (flip_column("message", "wrapped_record", 7), "keeper"),
    "the day of the content class": (
        lambda db, m: db.execute("UPDATE message SET content_day = content_day + 1 WHERE id = ?", (m,)), "keeper"),
    "the sealed sender": (flip_column("message", "sender", 20), "sender"),
    "the sealed recipient": (flip_column("delivery", "recipient", 20), "keeper"),
    "the tag's first octet": (flip_column("delivery", "tag", 0), "keeper"),
    "the tag's last octet": (flip_column("delivery", "tag", -1), "keeper"),
    "the policy's digest": (flip_column("delivery", "policy_digest", 3), "keeper"),
    "a weaker ladder": (set_column("ladder", "?", "{ cleartext, return }"), "keeper"),
    "a longer ladder": (set_column("ladder", "?", "{ tls encrypt, hold for 7 days }"), "keeper"),
    "a ladder that is none": (set_column("ladder", "?", "{ pigeons }"), "ladder"),
    "the delivery's number": (set_column("number", "7"), "journal"),
    "the rung": (set_column("rung", "1"), "journal"),
    "the state, as if it were held": (set_column("state", "1"), ""),
}
ENDED = {
    "as if it were delivered": set_column("state", "2"),
    "as if it were deleted": set_column("state", "4"),
}


def domain_of(name):
    return "".join(c if c.isalnum() else "-" for c in name) + ".example"


@pytest.fixture(scope="module")
def world(shared_internet):
    """A letter for each row of the table waits, is touched, and what becomes of it is looked at."""
    outside = Outside(shared_internet)
    closed = {"GREETING": "421 4.3.2 not yet"}
    outside.peers = {name: outside.domain(domain_of(name), answers=closed) for name in (*TOUCHED, *ENDED)}
    for name in ("honest", "swap-a", "swap-b", "swap-c", "swap-d", "here", "evil"):
        outside.peers[name] = outside.domain(f"{name}.example", answers=closed)
    outside.peers["redirected"] = outside.domain("redirected.v.example", certificate="good", answers=closed)
    outside.start(RULES)
    waiting = [f"a@{domain_of(name)}" for name in (*TOUCHED, *ENDED)] + [
        "a@honest.example", "a@here.example", "a@redirected.v.example"]
    for recipient in waiting:
        outside.send(recipient, text=LONG)
    pair = outside.send("a@swap-a.example", "a@swap-b.example")
    outside.send("a@swap-c.example")
    outside.send("a@swap-d.example")
    outside.send("a@b.held.example")
    waiting += ["a@swap-a.example", "a@swap-b.example", "a@swap-c.example", "a@swap-d.example"]
    outside.settle(waiting)
    outside.gateway.stop()
    touch(outside, pair)
    for server in outside.peers.values():
        server.answers.clear()
    outside.gateway.start()
    outside.forward(3700)
    return outside


def id_bytes(text):
    """The id as the database has it: 26 letters of five bits."""
    digits = "0123456789abcdefghjkmnpqrstvwxyz"
    number = 0
    for letter in text:
        number = number * 32 + digits.index(letter)
    return number.to_bytes(17, "big")[-16:]


def touch(outside, pair):
    database = sqlite3.connect(outside.database())

    def message_of(recipient):
        return id_bytes(outside.sent[recipient])
    with database:
        for name, (change, _) in TOUCHED.items():
            change(database, message_of(f"a@{domain_of(name)}"))
        for name, change in ENDED.items():
            change(database, message_of(f"a@{domain_of(name)}"))
        swap(database, (id_bytes(pair), 1), (id_bytes(pair), 2))
        swap(database, (message_of("a@swap-c.example"), 1), (message_of("a@swap-d.example"), 1))
        database.execute("INSERT INTO destination(name) VALUES ('evil.example')")
        evil = database.execute("SELECT id FROM destination WHERE name = 'evil.example'").fetchone()
        for recipient in ("a@here.example", "a@redirected.v.example"):
            database.execute("UPDATE delivery SET destination = ? WHERE message = ?",
                             (evil[0], message_of(recipient)))
        database.execute("UPDATE destination SET next_due = 1, waiting = waiting + 2 WHERE id = ?", evil)
        database.execute("UPDATE delivery SET state = 0, due_at = 1 WHERE message = ?",
                         (message_of("a@b.held.example"),))
        database.execute("UPDATE destination SET next_due = 1, waiting = 1 WHERE name = 'b.held.example'")
    database.close()


def swap(database, one, other):
    read = "SELECT recipient FROM delivery WHERE message = ? AND number = ?"
    first, second = (database.execute(read, which).fetchone()[0] for which in (one, other))
    write = "UPDATE delivery SET recipient = ? WHERE message = ? AND number = ?"
    database.execute(write, (second, *one))
    database.execute(write, (first, *other))


def words(text):
    return " ".join(text.split())


def trace_of(world, message):
    return words(world.gateway.command("trace", message).stdout)


@pytest.mark.parametrize("name", TOUCHED)
def test_what_was_touched_is_held_with_the_reason(world, name):
    message = world.sent[f"a@{domain_of(name)}"]
    reason = TOUCHED[name][1]
    wait_until(lambda: message in world.gateway.command("queue").stdout and
               re.search(rf"{message}/\d+ +held", world.gateway.command("queue").stdout), f"{name}: held")
    line = next(line for line in world.gateway.command("queue").stdout.splitlines() if message in line)
    assert reason in line, line
    assert not world.peers[name].messages
    assert not any(b"MAIL" in s.sealed + s.clear for s in world.peers[name].sessions)


def test_a_swap_of_recipients_is_found_within_a_message_and_across_two(world):
    for name in ("swap-a", "swap-b", "swap-c", "swap-d"):
        message = world.sent[f"a@{name}.example"]
        wait_until(lambda: re.search(rf"{message}/\d+ +held", world.gateway.command("queue").stdout), f"{name}: held")
        assert not world.peers[name].messages


def test_what_nobody_touched_is_delivered(world):
    world.peers["honest"].wait_for(1)
    assert world.peers["honest"].messages[0].data.endswith(LONG[-1000:])


def test_another_destination_in_a_row_leads_no_letter_astray(world):
    for name, recipient in (("here", "a@here.example"), ("redirected", "a@redirected.v.example")):
        message = world.sent[recipient]
        wait_until(lambda: world.peers[name].messages or
                   re.search(rf"{message}/\d+ +held", world.gateway.command("queue").stdout), name)
    assert not world.peers["evil"].sessions


def test_what_a_rule_holds_is_not_sent_because_a_row_says_that_it_waits(world):
    """It has a ladder of its own, that begins with the hold."""
    message = world.sent["a@b.held.example"]
    wait_until(lambda: re.search(rf"{message}/1 +held", world.gateway.command("queue").stdout), "held again")
    assert "does not agree with the journal" in trace_of(world, message)


@pytest.mark.parametrize("name", ENDED)
def test_a_row_that_pretends_an_end_is_contradicted_by_the_trace(world, name):
    assert not world.peers[name].messages
    assert "now its record does not agree with the journal" in trace_of(world, world.sent[f"a@{domain_of(name)}"])


def test_the_alarm_is_in_the_log_and_nobody_is_named_there(world):
    log = world.gateway.log()
    assert log.count("a delivery is held for a fault of our own") >= len(TOUCHED) - 1
    assert "a@" not in log


def test_the_gateway_goes_on(world):
    server = world.domain("after.example")
    world.send("a@after.example")
    server.wait_for(1)


def test_a_hold_of_what_was_touched_ends_too_and_only_what_is_sure_is_told(world):
    """The text may be spoiled where people are known; where a record does not open, nobody can be told."""
    world.forward(8 * 24 * 3600)
    for name, (_, reason) in TOUCHED.items():
        message = world.sent[f"a@{domain_of(name)}"]
        if "held" in name:  # nobody had looked at it before its time was over
            wait_until(lambda: "does not agree with the journal" in trace_of(world, message), name)
            continue
        wait_until(lambda: "now returned" in trace_of(world, message), f"{name}: returned")
        if reason == "body" or name == "the rung":
            assert f"Final-Recipient: rfc822; a@{domain_of(name)}" in world.report(message)
        else:
            assert "no report: the record does not open" in trace_of(world, message)
            assert not world.reports(message)
    for name in ("swap-a", "swap-b", "swap-c", "swap-d"):
        assert not world.reports(world.sent[f"a@{name}.example"])
    assert "a failed delivery is told to nobody" in world.gateway.log()
    world.gateway.command("audit", "verify", check=True)


# ---- the journal ----

EDITS = {
    "a detail changed": lambda db, n: edit(db, "detail", n, flip),
    "a hash changed": lambda db, n: edit(db, "hash", n, flip),
    "a salt changed": lambda db, n: edit(db, "salt", n, flip),
    "a time changed": lambda db, n: db.execute("UPDATE event SET at = at + 1 WHERE sequence = ?", (n,)),
    "a kind changed": lambda db, n: db.execute("UPDATE event SET kind = kind + 1 WHERE sequence = ?", (n,)),
    "a delivery changed": lambda db, n: db.execute("UPDATE event SET delivery = delivery + 1 WHERE sequence = ?", (n,)),
    "a row removed": lambda db, n: db.execute("DELETE FROM event WHERE sequence = ?", (n,)),
    "two rows in the other order": lambda db, n: swap_rows(db, n, n + 1),
    "a row in the place of another": lambda db, n: db.execute(
        "UPDATE event SET (kind, at, message, delivery, detail, salt, hash) = (SELECT kind, at, message, delivery, "
        "detail, salt, hash FROM event WHERE sequence = ?) WHERE sequence = ?", (n + 2, n)),
}


def edit(database, column, number, change):
    value, = database.execute(f"SELECT {column} FROM event WHERE sequence = ?", (number,)).fetchone()
    database.execute(f"UPDATE event SET {column} = ? WHERE sequence = ?", (change(value), number))


def swap_rows(database, one, other):
    for old, new in ((one, -1), (other, one), (-1, other)):
        database.execute("UPDATE event SET sequence = ? WHERE sequence = ?", (new, old))


@pytest.fixture(scope="module")
def stopped(world):
    """The database of a gateway that has ended, as octets to begin each edit from."""
    world.gateway.command("audit", "verify", check=True)
    world.gateway.stop()
    path = world.database()
    return path, path.read_bytes()


@pytest.mark.parametrize("name", EDITS)
def test_the_first_bad_or_missing_row_is_named(world, stopped, name):
    path, octets = stopped
    path.write_bytes(octets)
    database = sqlite3.connect(path)
    rows = [row[0] for row in database.execute("SELECT sequence FROM event WHERE detail IS NOT NULL")]
    number = rows[len(rows) // 2]
    with database:
        EDITS[name](database, number)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    try:
        result = world.gateway.command("audit", "verify")
        assert result.returncode != 0
        assert re.search(rf"row {number}\b", result.stdout + result.stderr), (number, result.stdout, result.stderr)
    finally:
        path.write_bytes(octets)


def test_a_cut_tail_is_named_by_the_keepers_own_word(world, stopped):
    path, octets = stopped
    path.write_bytes(octets)
    database = sqlite3.connect(path)
    last = database.execute("SELECT max(sequence) FROM event").fetchone()[0]
    with database:
        database.execute("DELETE FROM event WHERE sequence > ?", (last - 3,))
    database.close()
    try:
        result = world.gateway.command("audit", "verify")
        assert result.returncode != 0 and f"row {last - 2}" in result.stdout + result.stderr, result
    finally:
        path.write_bytes(octets)
    assert world.gateway.command("audit", "verify").returncode == 0

# SPDX-License-Identifier: ISC
"""The dialogue: order and syntax of commands, pipelining, names and addresses (S07, S08, S19, S22 to S27, S29, S34,
S62, S73, S74, S79 and their kind)."""

import re

import pytest
from receiving import LETTER, Clinic, body_of, everything, send_singly

ENVELOPE = b"MAIL FROM:<a@partner.example>\r\nRCPT TO:<nurse@clinic.example>\r\n"


@pytest.fixture(scope="module")
def clinic(shared_internet, authority):
    made = Clinic(shared_internet)
    made.machine = authority.issue("lis.clinic.example")
    yield made
    made.steady()


def codes(lines):
    return [line[:9] if re.match(r"\d{3} \d\.\d\.\d", line) else line[:3] for line in lines if line[3:4] != "-"]


def replies(client, count):
    return codes([client.reply().rsplit("\n", 1)[-1] for _ in range(count)])


# ---- pipelining ----

def test_a_pipelined_data_after_refused_recipients_gets_554_and_replies_stay_in_order(clinic):
    with clinic.say() as client:
        client.send("MAIL FROM:<a@partner.example> SIZE=1390\r\nRCPT TO:<nosuch@clinic.example>\r\nDATA\r\n")
        assert replies(client, 3) == ["250 2.1.0", "550 5.1.1", "554 5.5.1"]
        assert client.ask("NOOP").startswith("250")


@pytest.mark.parametrize("text", [
    b"Subject: x\r\nMAIL FROM:<boss@clinic.example>\r\nRCPT TO:<nurse@clinic.example>\r\nDATA\r\nforged\r\n.\r\n"
    b"QUIT\r\n",
    b"MAIL FROM:<b@partner.example>\r\nRCPT TO:<nurse@clinic.example>\r\nDATA\r\nforged\r\n.\r\n",
    b"RCPT TO:<nurse@clinic.example>\r\nDATA\r\nforged\r\n.\r\n", b"RSET\r\n" + ENVELOPE + b"DATA\r\nforged\r\n.\r\n",
])
def test_text_behind_a_refused_data_is_not_run_as_commands(clinic, text):
    with clinic.say() as client:
        client.send(b"MAIL FROM:<a@partner.example>\r\nRCPT TO:<nosuch@clinic.example>\r\nDATA\r\n" + text)
        assert codes(everything(client)) == ["250 2.1.0", "550 5.1.1", "554 5.5.1"]
    assert clinic.mailbox_is_empty_of(b"forged")


def test_text_that_comes_after_the_refusal_of_data_ends_the_session(clinic):
    with clinic.say() as client:
        client.send("MAIL FROM:<a@partner.example>\r\nRCPT TO:<nosuch@clinic.example>\r\nDATA\r\n")
        replies(client, 3)
        client.send(b"Subject: x\r\n" + ENVELOPE + b"DATA\r\nforged\r\n.\r\n")
        assert codes(everything(client)) == ["521 5.5.2"]
    assert clinic.mailbox_is_empty_of(b"forged")


WHOLE = (b"EHLO a.example\r\nMAIL FROM:<a@partner.example>\r\nRCPT TO:<nurse@clinic.example>\r\nDATA\r\n"
         b"Subject: whole-%d\r\n\r\nx\r\n.\r\nRSET\r\nMAIL FROM:<a@partner.example> SIZE=5\r\n"
         b"RCPT TO:<nurse@clinic.example>\r\nBDAT 3\r\nabcBDAT 2 LAST\r\nde"
         b"NOOP\r\nVRFY nurse\r\nQUIT\r\n")
ANSWERS = ["220", "250", "250 2.1.0", "250 2.1.5", "354", "250 2.0.0", "250 2.0.0", "250 2.1.0", "250 2.1.5",
           "250 2.0.0", "250 2.0.0", "250 2.0.0", "252 2.5.0", "221 2.0.0"]


def test_a_whole_dialogue_in_one_write_or_octet_by_octet_gets_the_same_replies(clinic):
    for number, send in enumerate([lambda client, data: client.send(data), send_singly]):
        with clinic.internet.client("smtp") as client:
            send(client, WHOLE % number)
            assert codes(everything(client)) == ANSWERS
        assert clinic.received(clinic.inside, b"whole-%d" % number)
    clinic.settle()
    assert [body_of(m) for m in clinic.inside.messages].count(b"\r\nabcde") == 2


def test_segments_cut_anywhere_change_no_reply(clinic):
    for at in range(3, len(WHOLE), 7):
        with clinic.internet.client("smtp") as client:
            data = WHOLE % (1000 + at)
            client.send(data[:at])
            client.send(data[at:])
            assert codes(everything(client)) == ANSWERS, at


def test_commands_come_in_their_order(clinic):
    rows = [
        (["MAIL FROM:<a@partner.example>"], ["503 5.5.1"]),
        (["RCPT TO:<nurse@clinic.example>"], ["503 5.5.1"]), (["DATA"], ["503 5.5.1"]),
        (["HELO a", "RCPT TO:<nurse@clinic.example>"], ["250", "503 5.5.1"]),
        (["HELO a", "DATA"], ["250", "503 5.5.1"]),
        (["EHLO a", "MAIL FROM:<a@partner.example>", "DATA"], ["250", "250 2.1.0", "554 5.5.1"]),
        (["EHLO a", "MAIL FROM:<a@partner.example>", "MAIL FROM:<b@partner.example>"],
         ["250", "250 2.1.0", "503 5.5.1"]),
        (["EHLO a", "MAIL FROM:<a@partner.example>", "RSET", "RCPT TO:<nurse@clinic.example>"],
         ["250", "250 2.1.0", "250 2.0.0", "503 5.5.1"]),
        (["EHLO a", "MAIL FROM:<a@partner.example>", "EHLO b", "RCPT TO:<nurse@clinic.example>"],
         ["250", "250 2.1.0", "250", "503 5.5.1"]),
        (["EHLO a", "MAIL FROM:<a@partner.example>", "RCPT TO:<nurse@clinic.example>", "DATA now"],
         ["250", "250 2.1.0", "250 2.1.5", "501 5.5.4"]),
        (["EHLO a", "RSET x"], ["250", "501 5.5.4"]), (["EHLO a", "QUIT now"], ["250", "501 5.5.4"]),
        (["EHLO a", "NOOP whatever"], ["250", "250 2.0.0"]), (["RSET"], ["250 2.0.0"]), (["NOOP"], ["250 2.0.0"]),
        (["VRFY nurse"], ["252 2.5.0"]), (["EXPN staff"], ["502 5.5.1"]), (["HELP"], ["214 2.0.0"]),
        (["noop", "eHlO a", "mAiL fRoM:<a@partner.example>", "rcpt to:<nurse@clinic.example>", "rset", "quit"],
         ["250 2.0.0", "250", "250 2.1.0", "250 2.1.5", "250 2.0.0", "221 2.0.0"]),
        (["EHLO a", "MAIL"], ["250", "501 5.5.4"]), (["EHLO a", "MAIL FROM"], ["250", "501 5.5.4"]),
        (["EHLO a", "MAIL TO:<a@partner.example>"], ["250", "501 5.5.4"]),
        (["EHLO a", "MAIL FROM:a@partner.example"], ["250", "501 5.5.4"]),
        (["", "EHLO a"], ["500 5.5.2", "250"]), (["   ", "EHLO a"], ["500 5.5.2", "250"]),
        (["STARTTLS please"], ["501 5.5.4"]), (["RCPT:<x>"], ["500 5.5.2"]), (["LHLO a"], ["500 5.5.2"]),
        (["GET / HTTP/1.1"], ["500 5.5.2"]), (["DATA\t"], ["503 5.5.1"]), (["NOOP\t"], ["250 2.0.0"]),
    ]
    for commands, wanted in rows:
        with clinic.say(hello=False) as client:
            assert codes([client.ask(command).rsplit("\n", 1)[-1] for command in commands]) == wanted, commands


def test_data_after_helo_works_and_is_traced_as_smtp(clinic):
    with clinic.say(hello=False) as client:
        assert client.ask("HELO old.example") == "250 mx.clinic.example"
        client.envelope("a@partner.example", "nurse@clinic.example")
        assert client.data(b"Subject: by-helo\r\n\r\nx\r\n").startswith("250")
    assert b" with SMTP\r\n" in clinic.received(clinic.inside, b"by-helo").data


def test_two_hundred_garbage_commands_end_in_421(clinic):
    garbage = b"".join((b"\x7f%d ?? garbage\r\n" if number % 2 else b"XYZZY %d\r\n") % number for number in range(200))
    for data in (garbage, b"WHAT\r\n" * 200, b"RCPT TO:<x@y>\r\n" * 200):
        with clinic.say() as client:
            client.send(data)
            answers = codes(everything(client))
            assert answers[-1] in ("421 4.7.0", "500 5.5.2") and len(answers) <= 21, answers


def test_a_chunk_that_crosses_the_error_limit_is_answered_by_421(clinic):
    with clinic.say() as client:
        client.send(b"WRONG\r\n" * 19 + b"BDAT 5\r\nhelloNOOP\r\nMAIL FROM:<a@partner.example>\r\n")
        answers = codes(everything(client))
        assert answers == ["500 5.5.2"] * 19 + ["503 5.5.1", "421 4.7.0"]
    with clinic.say() as client:
        client.send(b"WRONG\r\n" * 20 + b"BDAT 5\r\nhello")
        assert codes(everything(client))[-1] == "421 4.7.0"


# ---- parameters ----

@pytest.mark.parametrize("parameters, wanted", [
    ("SIZE=", "501 5.5.4"), ("SIZE=abc", "501 5.5.4"), ("SIZE=-1", "501 5.5.4"), ("SIZE=+5", "501 5.5.4"),
    ("SIZE=123456789012345678901", "501 5.5.4|552 5.3.4"), ("SIZE=5 SIZE=6", "501 5.5.4"), ("SIZE=0", "250 2.1.0"),
    ("SIZE", "501 5.5.4"), ("SIZE=0x10", "501 5.5.4"), ("SIZE=5,000", "501 5.5.4"), ("SIZE=5K", "501 5.5.4"),
    ("SIZE=18446744073709551615", "552 5.3.4"), ("SIZE=18446744073709551616", "552 5.3.4"),
    ("SIZE=10485760", "250 2.1.0"), ("SIZE=10485761", "552 5.3.4"),
    ("SIZE=00000000000000000000005", "250 2.1.0|501 5.5.4"), ("size=5", "250 2.1.0"), ("SIZE=5 ", "250 2.1.0"),
    ("SIZE =5", "501 5.5.4"), ("SIZE= 5", "501 5.5.4"), ("SIZE==5", "501 5.5.4"), ("BODY=9BIT", "501 5.5.4"),
    ("BODY=", "501 5.5.4"), ("BODY", "501 5.5.4"), ("BODY=7BIT BODY=8BITMIME", "501 5.5.4"),
    ("body=8bitMIME size=10", "250 2.1.0"), ("BODY=BINARYMIME", "501 5.5.4"), ("FOO=bar", "555 5.5.4"),
    ("FOO", "555 5.5.4"), ("=bar", "501 5.5.4"), ("-X=1", "501 5.5.4"), ("F\xd6O=1", "501 5.5.4"),
    ("RET=FULL", "555 5.5.4"), ("RET=HDRS ENVID=QQ", "555 5.5.4"), ("ENVID=a+0D+0Ab", "501 5.5.4|555 5.5.4"),
    ("SMTPUTF8", "555 5.5.4"), ("AUTH=<>", "555 5.5.4"), ("AUTH=a+0D+0ARCPT+20TO:x", "501 5.5.4|555 5.5.4"),
    ("SIZE=5  BODY=7BIT", "250 2.1.0"), ("x" * 4000, "555 5.5.4"),
])
def test_parameters_of_mail_are_understood_or_refused(clinic, parameters, wanted):
    with clinic.say() as client:
        assert re.match(wanted, client.ask(f"MAIL FROM:<a@partner.example> {parameters}"))
        assert client.ask("RSET").startswith("250")


def test_no_space_before_a_parameter_is_refused(clinic):
    with clinic.say() as client:
        assert client.ask("MAIL FROM:<a@partner.example>SIZE=5").startswith("501 5.5.4")
        assert client.ask("MAIL FROM:<a@partner.example>x").startswith("501 5.5.4")


@pytest.mark.parametrize("parameters", [
    "NOTIFY=SUCCESS", "ORCPT=rfc822;a+0Ab", "NOTIFY=NEVER ORCPT=rfc822;x", "FOO", "SIZE=5",
    "ORCPT=rfc822;x@evil.example",
])
def test_recipients_have_no_parameters_in_this_version(clinic, parameters):
    with clinic.say() as client:
        assert "DSN" not in client.ask("EHLO a") and "SMTPUTF8" not in client.ask("EHLO a")
        client.envelope("a@partner.example")
        assert client.ask(f"RCPT TO:<nurse@clinic.example> {parameters}").startswith("555 5.5.4")
        assert client.ask("DATA").startswith("554 5.5.1")


def test_body_after_helo_is_harmless(clinic):
    with clinic.say(hello=False) as client:
        client.ask("HELO a")
        assert re.match("250|555 5.5.4", client.ask("MAIL FROM:<a@partner.example> BODY=8BITMIME"))


def test_an_auth_parameter_is_read_from_our_own_and_never_believed(clinic):
    with clinic.internet.client("submissions", tls_at_once=clinic.machine) as client:
        client.hello()
        for parameters in (" SIZE=13343 AUTH=<>", " AUTH=e+3Dmc2@clinic.example", " body=8bitMIME auth=<>"):
            assert client.ask(f"MAIL FROM:<nurse@clinic.example>{parameters}").startswith("250 2.1.0")
            assert client.ask("RSET").startswith("250")
        assert client.ask("MAIL FROM:<nurse@clinic.example> FOO=bar").startswith("555 5.5.4")
        for value in ("a+0D+0ARCPT+20TO:x", "a+0Ab", "a+0", "a+", "a+gg", "a+0ab", "", "a=b", "+00"):
            assert client.ask(f"MAIL FROM:<nurse@clinic.example> AUTH={value}").startswith("501 5.5.4"), value


# ---- names ----

@pytest.mark.parametrize("name, wanted", [
    ("cabinet-nord-.example", "250"), ("my_pc.local", "250"), ("LAPTOP", "250"), ("localhost", "250"),
    ("a..b", "250"), ("[192.0.2.1]", "250"), ("[IPv6:2001:db8::1]", "250"), ("x(y)z", "250"), ("a\\b", "250"),
    ("mx.clinic.example", "250"), ("", "501 5.5.4"), ("a" * 300, "501 5.5.4"), ("ex ample", "501 5.5.4"),
    ("\xe9cole", "501 5.5.4"), ("a\tb", "501 5.5.4"),
])
@pytest.mark.parametrize("verb", ["EHLO", "HELO"])
def test_imperfect_host_names_are_no_reason_to_refuse(clinic, verb, name, wanted):
    with clinic.say(hello=False) as client:
        assert client.ask(f"{verb} {name}").rsplit("\n", 1)[-1].startswith(wanted)
        if wanted == "250":
            client.envelope("a@partner.example", "nurse@clinic.example")
            subject = b"Subject: name-%d-%s" % (len(name), verb.encode())
            assert client.data(subject + b"\r\n\r\nx\r\n").startswith("250")
            head = clinic.received(clinic.inside, subject).data.split(b"Subject:")[0]
            assert head.count(b"Received:") == 1 and re.fullmatch(rb"(?:[ -~\t]*\r\n)+", head)


# ---- addresses ----

@pytest.mark.parametrize("address", [
    '"foo@evil.example> ORCPT=rfc822;x@evil.example"@partner.example', '"a b"@partner.example',
    '"x\\"y@z"@partner.example', '"a\\\\b"@partner.example', '"> RCPT TO:<x"@partner.example', '"a@b"@partner.example',
    '""@partner.example', '".a"@partner.example', '"a..b"@partner.example', "a+b!#$%&'*-/=?^_`{|}~@partner.example",
    "a" * 200 + "@partner.example",
])
def test_a_local_part_keeps_its_octets_and_its_quotes(clinic, address):
    subject = b"Subject: quoted-%d-%d" % (len(address), len(clinic.data.messages))
    with clinic.say("relay") as client:
        client.envelope("nurse@clinic.example", address)
        assert client.data(subject + b"\r\n\r\nx\r\n").startswith("250")
    clinic.received(clinic.data, subject)
    assert any(f"RCPT TO:<{address}>" == line for session in clinic.data.sessions for line in session.lines)
    with clinic.say() as client:
        client.envelope(address, "nurse@clinic.example")
        assert client.data(subject + b"\r\n\r\nx\r\n").startswith("250")
    clinic.received(clinic.inside, subject)
    assert any(line.startswith(f"MAIL FROM:<{address}>") and " ORCPT=" not in line[len(address) + 12:]
               for session in clinic.inside.sessions for line in session.lines)
    assert not any("evil.example" in name for name, _ in clinic.internet.names.questions)


def test_needless_quotes_make_no_other_address(clinic):
    with clinic.say("relay") as client:
        client.envelope("nurse@clinic.example", '"plain"@partner.example', "plain@partner.example",
                        '"pl\\ain"@PARTNER.example')
        assert client.data(b"Subject: plain-one\r\n\r\nx\r\n").startswith("250")
    assert len(clinic.received(clinic.data, b"plain-one").recipients) == 1


@pytest.mark.parametrize("path", [
    "<>", "<nurse>", "<@clinic.example>", "<nurse@>", "<nurse@clinic..example>", "<nurse@.example>",
    "<nurse@clinic.example", "nurse@clinic.example>", "<nurse@clinic.example>>", "<<nurse@clinic.example>>",
    "<nurse@clinic.example> <x@y.example>", "<nu rse@clinic.example>", "<nurse@cli nic.example>",
    "<n\xfcrse@clinic.example>", "<nurse@cl\xefnic.example>", '<"nurse@clinic.example>', '<"nurse"x@clinic.example>',
    "<nurse@[127.0.0.1>", "<nurse@[300.0.0.1]>", "<nurse@[IPv6:xyz]>", "<nurse@-clinic.example>",
    "<nurse@clinic.example,x@partner.example>", "<nurse@127.1>", "<" + "n" * 300 + "@clinic.example>",
    "<nurse@" + "x." * 130 + "example>", "<.nurse@clinic.example>", "<nurse.@clinic.example>",
    "<nu..rse@clinic.example>", "<nurse@clinic.example\x01>", "", " ", "<", ">", "<nurse@" + "x" * 64 + ".example>",
    "< nurse@clinic.example>", "<nurse@clinic.example >", "<nurse(comment)@clinic.example>",
    "Nurse <nurse@clinic.example>", "  <nurse@clinic.example>",
])
def test_what_is_no_address_is_refused(clinic, path):
    with clinic.say() as client:
        client.envelope("a@partner.example")
        assert re.match("50[01] 5.5.[24]|553 5.1.3|550 5.1.1", client.ask(f"RCPT TO:{path}")), path
        assert client.ask("DATA").startswith("554 5.5.1")


def test_one_space_before_an_address_is_tolerated_and_not_passed_on(clinic):
    with clinic.say() as client:
        assert client.ask("MAIL FROM: <a@partner.example>").startswith("250")
        assert client.ask("RCPT TO: <nurse@clinic.example>").startswith("250")
        assert client.data(b"Subject: a-space\r\n\r\nx\r\n").startswith("250")
    assert clinic.received(clinic.inside, b"a-space").mail_line.startswith("MAIL FROM:<a@partner.example>")


def test_postmaster_is_always_there_and_gets_one_message(clinic):
    with clinic.say() as client:
        client.envelope("a@partner.example", "Postmaster", "postmaster@clinic.example", "POSTMASTER@CLINIC.EXAMPLE")
        assert client.ask("RCPT TO:<postMaStER@clinic.example>").startswith("250 2.1.5")
        assert client.data(b"Subject: to-postmaster\r\n\r\nx\r\n").startswith("250")
    clinic.received(clinic.inside, b"to-postmaster")
    clinic.settle()
    found = [m.recipients for m in clinic.inside.messages if b"to-postmaster" in m.data]
    assert found == [["postmaster@clinic.example"]]


def test_the_same_recipient_thrice_gets_one_copy(clinic):
    with clinic.say("relay") as client:
        client.envelope("nurse@clinic.example", "a@partner.example", "a@partner.example", "a@PARTNER.example")
        assert client.ask("RCPT TO:<a@partner.example.>").startswith("250")
        assert client.data(b"Subject: thrice\r\n\r\nx\r\n").startswith("250")
    assert clinic.received(clinic.data, b"thrice").recipients == ["a@partner.example"]
    clinic.settle()
    assert sum(b"thrice" in m.data for m in clinic.data.messages) == 1


def test_the_null_sender_stays_null_by_smtp_and_lmtp(clinic):
    with clinic.say("relay") as client:
        client.envelope("", "a@partner.example", "nurse@clinic.example")
        assert client.data(b"Subject: from-null\r\n\r\nx\r\n").startswith("250")
    for server in (clinic.data, clinic.inside):
        assert clinic.received(server, b"from-null").mail_line.startswith("MAIL FROM:<>")
    with clinic.say() as client:
        for line in ("MAIL FROM:< >", "MAIL FROM:", "MAIL FROM: ", "MAIL FROM:<"):
            assert client.ask(line).startswith("501 5.5.4"), line


# ---- what we add ----

def test_nothing_that_we_add_names_a_hidden_recipient(clinic):
    with clinic.internet.client("submissions", tls_at_once=clinic.machine) as client:
        client.hello()
        client.envelope("nurse@clinic.example", "a@partner.example", "b@partner.example", "c@third.example")
        assert client.data(b"From: nurse@clinic.example\r\nTo: a@partner.example\r\n"
                           b"Bcc: b@partner.example,\r\n c@third.example\r\nbcc:\r\n"
                           b"Subject: hidden\r\n\r\nx\r\n").startswith("250")
    for server, told in ((clinic.data, b"a@partner.example"), (clinic.chunks, b"a@partner.example")):
        data = clinic.received(server, b"hidden").data
        added = data.split(b"From: nurse")[0]
        assert told not in added and b" for " not in added
        assert b"b@partner" not in data and b"c@third" not in data and b"bcc" not in data.lower()


def test_one_recipient_alone_is_named_in_received(clinic):
    clinic.internet.send("nurse@clinic.example", "only@partner.example", text=b"Subject: only-one\r\n\r\nx\r\n")
    assert b"for <only@partner.example>" in clinic.received(clinic.data, b"only-one").data


def test_an_outsider_cannot_ask_for_reports(clinic):
    before = len(clinic.data.messages)
    for _ in range(20):
        with clinic.say() as client:
            assert client.ask("MAIL FROM:<victim@partner.example> RET=FULL").startswith("555 5.5.4")
            client.envelope("victim@partner.example")
            assert client.ask("RCPT TO:<nurse@clinic.example> NOTIFY=SUCCESS").startswith("555 5.5.4")
            assert client.ask("RCPT TO:<nurse@clinic.example>").startswith("250")
            assert client.data(LETTER).startswith("250")
    clinic.settle()
    assert len(clinic.data.messages) == before + 1  # the marker alone


def test_each_command_line_up_to_its_limit_is_read_and_one_beyond_is_not(clinic):
    with clinic.say() as client:
        assert client.ask("NOOP " + "x" * (8192 - 5)).startswith("250")
        client.send("NOOP " + "x" * (8193 - 5) + "\r\nNOOP\r\n")
        assert codes(everything(client)) == ["500 5.5.2"]


def test_commands_in_chunks_of_a_transaction_that_never_was_stay_data(clinic):
    inner = b"MAIL FROM:<boss@clinic.example>\r\n" * 3
    with clinic.say() as client:
        client.send(b"BDAT %d LAST\r\n" % len(inner) + inner + b"NOOP\r\n")
        assert replies(client, 2) == ["503 5.5.1", "250 2.0.0"]

# SPDX-License-Identifier: ISC
"""Who may send what, and behind which TLS (S38, S65, S67 to S69, S72 and their kind): never an open relay."""

import base64
import re
import socket
import ssl
import subprocess

import pytest
from lab.certificates import Authority, fingerprint
from lab.client import Client
from receiving import STAFF, Clinic, HandTls, everything

OURS, OUTSIDE = "127.0.0.1", "127.0.0.9"  # where a client comes from: the trusted network is 127.0.0.0/30


@pytest.fixture(scope="module")
def clinic(shared_internet, authority, folder):
    pinned = authority.issue("pinned.clinic.example", self_signed=True)
    other = authority.issue("other.clinic.example")
    template = STAFF.replace('submission port {submission} on "127.0.0.1" trusting certificate "lis.clinic.example"',
                             'submission port {submission} on "127.0.0.1" trusting certificate machines')
    template = template.replace('trusting network "127.0.0.0/8"', 'trusting network "127.0.0.0/30"')
    assert template.count("machines") == 1
    template = f'list machines {{{{ "other.clinic.example", "sha256:{fingerprint(pinned[0])}" }}}}\n' + template
    made = Clinic(shared_internet, {"receive.handshake_timeout_ms": 1000}, template, arguments=["-v"])
    made.machine = authority.issue("lis.clinic.example")
    made.pinned, made.other = pinned, other
    yield made
    made.steady()


# ---- relaying ----

FOREIGN = [
    "x@elsewhere.example", "x%elsewhere.example@partner.example", "@clinic.example:x@elsewhere.example",
    "@clinic.example,@mx.clinic.example:x@elsewhere.example", '"nurse@clinic.example"@elsewhere.example',
    '"nurse@clinic.example\\"@elsewhere.example"@elsewhere.example', "nurse%clinic.example@elsewhere.example",
    "nurse@clinic.example.elsewhere.example", "nurse@xclinic.example", "nurse@clinic.example.x", "nurse@[192.0.2.1]",
    "nurse@[127.0.0.1]", "nurse@[IPv6:::1]", "clinic.example!x@elsewhere.example", "X@ELSEWHERE.EXAMPLE.",
    "x@partner.example", "m@third.example", "nurse@mx.clinic.example", "nurse@sub.clinic.example",
]
NO_MAILBOX = [
    "x%elsewhere.example@clinic.example", '"x@elsewhere.example"@clinic.example',
    "elsewhere.example!x@clinic.example", "x@clinic.example", "NURSE@clinic.example.", '"nurse "@clinic.example',
    '"x@elsewhere.example>"@clinic.example', "nurse+x@clinic.example", '"nurse@clinic.example"@clinic.example',
    "x%elsewhere.example@CLINIC.EXAMPLE",
]


@pytest.mark.parametrize("sender", ["a@partner.example", "", "a@elsewhere.example"])
def test_outsiders_reach_our_own_mailboxes_and_nobody_else(clinic, sender):
    with clinic.say(source=OUTSIDE) as client:
        client.envelope(sender)
        for address in FOREIGN:
            assert client.ask(f"RCPT TO:<{address}>").startswith("550 5.7.1"), address
            assert client.ask("NOOP").startswith("250")
            if address in FOREIGN[::9]:
                client.close()
                client = clinic.say(source=OUTSIDE)
                client.envelope(sender)
    with clinic.say(source=OUTSIDE) as client:
        client.envelope(sender)
        for address in NO_MAILBOX:
            assert client.ask(f"RCPT TO:<{address}>").startswith("550 5.1.1"), address
        assert client.ask("DATA").startswith("554")
        assert client.ask("RCPT TO:<nurse@CLINIC.Example.>").startswith("250")


def test_a_trusted_address_makes_no_difference_on_the_door_for_outsiders(clinic):
    with clinic.say(source=OURS) as client:
        client.envelope("a@partner.example")
        assert client.ask("RCPT TO:<x@elsewhere.example>").startswith("550 5.7.1")
        assert client.ask("RSET").startswith("250")
        assert client.ask("MAIL FROM:<nurse@clinic.example>").startswith("550 5.7.1")


def test_outsiders_cannot_write_in_our_name(clinic):
    for sender in ("nurse@clinic.example", "boss@CLINIC.example", "x@clinic.example.",
                   '"a@partner.example"@clinic.example',
                   "@partner.example:nurse@clinic.example", "a%partner.example@clinic.example",
                   "postmaster@clinic.example"):
        with clinic.say() as client:
            assert client.ask(f"MAIL FROM:<{sender}>").startswith("550 5.7.1"), sender
            assert client.ask("RCPT TO:<nurse@clinic.example>").startswith("503")


def test_a_trusted_network_ends_where_its_prefix_does(clinic):
    for source, is_trusted in (("127.0.0.1", True), ("127.0.0.2", True), ("127.0.0.3", True), ("127.0.0.4", False),
                               ("127.0.0.9", False), ("127.0.1.1", False), ("127.1.0.1", False),
                               ("127.255.255.254", False)):
        with clinic.say("relay", source=source) as client:
            answer = client.ask("MAIL FROM:<nurse@clinic.example>")
            assert answer.startswith("250" if is_trusted else "530 5.7.0"), source
            if not is_trusted:
                assert client.ask("RCPT TO:<nurse@clinic.example>").startswith("503")
                assert client.ask("MAIL FROM:<a@partner.example>").startswith("530 5.7.0")


def test_our_own_servers_send_in_our_name_only(clinic):
    for sender in ("a@partner.example", "x@clinic.example.evil.example", "x@mx.clinic.example", "x@[127.0.0.1]"):
        with clinic.say("relay") as client:
            assert client.ask(f"MAIL FROM:<{sender}>").startswith("550 5.7.1"), sender


# ---- certificates ----

def may_send(clinic, door, certificate, sender="nurse@clinic.example", version=None):
    """The reply to MAIL behind TLS with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if version:
        context.minimum_version = context.maximum_version = version
    if certificate:
        context.load_cert_chain(*certificate)
    client = Client(clinic.internet.ports[door])
    if door == "submission":
        client.hello()
        assert client.ask("MAIL FROM:<nurse@clinic.example>").startswith("530 5.7.0"), "before TLS"
        assert client.ask("STARTTLS").startswith("220")
    client.socket = context.wrap_socket(client.socket, server_hostname="mx.clinic.example")
    with client:
        if door == "submissions":
            client.reply()
        client.ask("EHLO a.example")
        answer = client.ask(f"MAIL FROM:<{sender}>")
        if answer.startswith("530"):
            assert client.ask("RCPT TO:<x@elsewhere.example>").startswith("503")
        return answer[:9]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_opens_its_own_door_by_name_or_by_fingerprint(clinic, version):
    opens = [("submissions", clinic.machine), ("submission", clinic.other), ("submission", clinic.pinned)]
    for door in ("submissions", "submission"):
        for certificate in (clinic.machine, clinic.other, clinic.pinned, None):
            wanted = "250 2.1.0" if (door, certificate) in opens else "530 5.7.0"
            assert may_send(clinic, door, certificate, version=version) == wanted, (door, certificate)


def test_a_certificate_with_the_right_name_from_nobody_opens_nothing(clinic, authority, folder):
    stranger = Authority(folder / "strangers", "Laboratory Root")
    impostors = {
        "self-signed": authority.issue("lis.clinic.example", self_signed=True),
        "of another authority of the same name": stranger.issue("lis.clinic.example"),
        "expired": authority.issue("lis.clinic.example", days=-1, label="lis-expired"),
        "with more to its name": authority.issue("lis.clinic.example.evil.example"),
        "with less to its name": authority.issue("clinic.example"),
        "below its name": authority.issue("x.lis.clinic.example"),
        "of our own host": authority.issue("mx.clinic.example"),
        "signed by a certificate that is no authority": signed_by_leaf(clinic, folder),
    }
    for what, certificate in impostors.items():
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            assert may_send(clinic, "submissions", certificate, version=version) == "530 5.7.0", what


def signed_by_leaf(clinic, folder):
    """A certificate for the right name, signed with the key of one that we trust but that is no authority."""
    leaf = Authority.__new__(Authority)
    leaf.folder, leaf.certificate, leaf._key = folder / "leaf-signed", *clinic.other
    leaf.folder.mkdir(exist_ok=True)
    certificate, key = leaf.issue("lis.clinic.example")
    chain = leaf.folder / "chain.pem"
    chain.write_bytes(certificate.read_bytes() + clinic.other[0].read_bytes())
    return chain, key


def test_a_trusted_certificate_does_not_let_foreign_senders_through(clinic):
    assert may_send(clinic, "submissions", clinic.machine, "a@partner.example") == "550 5.7.1"
    assert may_send(clinic, "submissions", clinic.machine, "") == "250 2.1.0"


def test_trust_ends_with_its_connection(clinic):
    assert may_send(clinic, "submissions", clinic.machine) == "250 2.1.0"
    assert may_send(clinic, "submissions", None) == "530 5.7.0"


# ---- tickets ----

def resume(clinic, context, door, session=None):
    """(is resumed, reply to MAIL, session) of one connection."""
    with Client(clinic.internet.ports[door]) as client:
        if door != "submissions":
            client.hello()
            assert client.ask("STARTTLS").startswith("220")
        client.socket = context.wrap_socket(client.socket, server_hostname="mx.clinic.example", session=session)
        if door == "submissions":
            client.reply()
        client.ask("EHLO a.example")
        answer = client.ask("MAIL FROM:<nurse@clinic.example>")
        return client.socket.session_reused, answer[:9], client.socket.session


def context_for(certificate=None, version=ssl.TLSVersion.TLSv1_3):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    if certificate:
        context.load_cert_chain(*certificate)
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_ticket_opens_no_other_door_than_its_first_handshake_did(clinic, version):
    context = context_for(version=version)
    _, answer, session = resume(clinic, context, "smtp")
    assert answer == "550 5.7.1"  # an outsider in our name
    is_resumed, answer, _ = resume(clinic, context, "submissions", session)
    assert not is_resumed and answer == "530 5.7.0"
    trusted = context_for(clinic.machine, version)
    _, answer, session = resume(clinic, trusted, "submissions")
    assert answer == "250 2.1.0"
    _, answer, _ = resume(clinic, trusted, "submission", session)  # another listener, which trusts others
    assert answer == "530 5.7.0"
    is_resumed, answer, _ = resume(clinic, trusted, "smtp", session)
    assert answer == "550 5.7.1"


def test_a_corrupted_ticket_leads_to_a_full_handshake(clinic, folder):
    def connect(*arguments):
        result = subprocess.run(["openssl", "s_client", "-starttls", "smtp", "-tls1_2", "-connect",
                                 f"127.0.0.1:{clinic.internet.ports['smtp']}", *map(str, arguments)],
                                input="QUIT\r\n", capture_output=True, text=True, timeout=30)
        return result.stdout

    kept = folder / "session.pem"
    assert "New, TLSv1.2" in connect("-sess_out", kept)
    lines = kept.read_text().splitlines()
    begin, end = (i for i, line in enumerate(lines) if "SESSION PARAMETERS" in line)
    data = bytearray(base64.b64decode("".join(lines[begin + 1:end])))
    for at in (len(data) - 20, len(data) // 2, len(data) - 1):
        data[at] ^= 0x40
    lines[begin + 1:end] = [base64.b64encode(data).decode()[i:i + 64] for i in range(0, len(data) * 4 // 3 + 4, 64)]
    kept.write_text("\n".join(line for line in lines if line) + "\n")
    connect("-sess_in", kept)  # whatever the client makes of it
    assert "New, TLSv1.2" in connect()


# ---- STARTTLS ----

@pytest.mark.parametrize("behind", [
    b"EHLO evil.example\r\n", b"NOOP\r\n", b"MAIL FROM:<a@partner.example>\r\n", b"N", b"\r\n", b"\0",
    b"MAIL FROM:<a@partner.example>\r\nRCPT TO:<nurse@clinic.example>\r\nDATA\r\n", b"x" * 9000,
])
@pytest.mark.parametrize("door", ["smtp", "submission", "relay"])
def test_nothing_pipelined_behind_starttls_is_a_command(clinic, door, behind):
    with clinic.say(door) as client:
        client.send(b"STARTTLS\r\n" + behind)
        assert [line[:9] for line in everything(client)] == ["554 5.5.1"]


def test_what_comes_in_the_clear_after_220_is_a_broken_handshake(clinic):
    for clear in (b"EHLO evil.example\r\n", b"\x16\x03\x01" + b"x" * 400, b"\0" * 40, b"A"):
        with clinic.say() as client:
            assert client.ask("STARTTLS").startswith("220")
            client.send(clear)
            client.socket.shutdown(socket.SHUT_WR)
            assert not any(line.startswith(("250", "354", "5")) for line in everything(client))


def test_tls_forgets_all_that_was_said_before_it(clinic):
    with clinic.say() as client:
        client.envelope("a@partner.example", "nurse@clinic.example")
        assert client.ask("STARTTLS").startswith("220")
        client.wrap()
        assert client.ask("RCPT TO:<nurse@clinic.example>").startswith("503")
        assert client.ask("DATA").startswith("503")
        assert client.ask("MAIL FROM:<a@partner.example>").startswith("503")
        assert "STARTTLS" not in client.ask("EHLO a.example")
        assert client.ask("STARTTLS").startswith("503 5.5.1")
        client.envelope("a@partner.example", "nurse@clinic.example")
        assert client.data(b"Subject: behind-tls\r\n\r\nx\r\n").startswith("250")
    assert re.search(rb"with ESMTPS \(TLSv1\.3 TLS_AES_256_GCM_SHA384\)",
                     clinic.received(clinic.inside, b"behind-tls").data)


def test_a_stalled_or_broken_handshake_ends_and_gives_its_place_back(clinic):
    descriptors = clinic.descriptors()
    waiting = []
    for number in range(8):
        client = clinic.say()
        assert client.ask("STARTTLS").startswith("220")
        if number % 2:
            client.send(HandTls(client).hello()[:50])  # half a ClientHello
        waiting.append(client)
    for client in waiting:
        assert client.is_closed(10) and not client.buffer.startswith(b"2")
        client.close()
    with clinic.say() as client:
        assert client.ask("STARTTLS").startswith("220")
    clinic.settle()
    assert clinic.descriptors() <= descriptors + 4


def test_plain_speech_on_the_tls_port_ends_at_once_and_silence_at_its_deadline(clinic):
    for text in (b"EHLO x\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0"):
        with clinic.internet.client("submissions") as client:
            client.send(text)
            if len(text) < 5:
                client.socket.shutdown(socket.SHUT_WR)
            assert client.is_closed(10)
            assert not re.match(rb"\d{3}", client.buffer)
    with clinic.internet.client("submissions") as client:
        assert client.is_closed(10) and client.buffer == b""


@pytest.mark.parametrize("door", ["smtp", "submission", "relay"])
def test_tls_on_a_port_that_begins_in_the_clear_ends_at_once(clinic, door):
    with clinic.internet.client(door) as client:
        client.reply()
        client.send(HandTls(client).hello())
        answers = everything(client)
        assert len(answers) == 1 and re.match("500 5.5.2|521 5.5.2", answers[0])


# ---- what TLS may be ----

def s_client(clinic, *arguments):
    result = subprocess.run(["openssl", "s_client", "-starttls", "smtp", "-connect",
                             f"127.0.0.1:{clinic.internet.ports['smtp']}",
                             "-brief", *arguments], input="QUIT\r\n", capture_output=True, text=True, timeout=30)
    is_established = "CONNECTION ESTABLISHED" in result.stderr
    assert is_established or "SSL alert number" in result.stderr, "it was not the gateway that refused"
    return is_established


@pytest.mark.parametrize("arguments, wanted", [
    (["-tls1_3"], True), (["-tls1_2"], True), (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], False),
    (["-tls1", "-cipher", "ALL:@SECLEVEL=0"], False), (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"], True),
    (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], True),
    (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"], False),
    (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0"], False),
    (["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], False),
    (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0"], False),
    (["-tls1_2", "-cipher", "AES128-SHA:AES256-SHA256:AES256-GCM-SHA384:@SECLEVEL=0"], False),
    (["-tls1_2", "-cipher", "NULL:eNULL:@SECLEVEL=0"], False),
    (["-tls1_2", "-cipher", "ADH:AECDH:@SECLEVEL=0"], False),
    (["-tls1_2", "-cipher", "DHE:PSK:SRP:CAMELLIA:ARIA:@SECLEVEL=0"], False),
    (["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"], True),
    (["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], False),
    (["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256"], False), (["-groups", "P-256"], True),
    (["-groups", "P-384"], True), (["-groups", "X25519"], False), (["-groups", "X448"], False),
    (["-tls1_3", "-groups", "ffdhe2048"], False), (["-tls1_2", "-groups", "secp256k1"], False),
    (["-tls1_2", "-sigalgs", "ECDSA+SHA1", "-cipher", "ALL:@SECLEVEL=0"], False),
])
def test_only_tls_that_the_standard_allows_is_spoken(clinic, arguments, wanted):
    assert s_client(clinic, *arguments) == wanted


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_an_old_client_is_refused_on_the_tls_port_too(clinic):
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, version
        with socket.create_connection(("127.0.0.1", clinic.internet.ports["submissions"]), 10) as raw:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(raw, server_hostname="mx.clinic.example")


# ---- names in the handshake ----

@pytest.mark.parametrize("name", [
    b"clinic.example\\\0", b"a" * 255, b"a\r\nX: y", b"../../key", b"127.0.0.1", b"[::1]", b"\xff\xfe" * 20,
    b"mx.clinic.example.", b"......", b"*.****", b"%s%n%x", b"a" * 250 + b"\r\n",
])
def test_strange_server_names_are_harmless(clinic, name):
    with clinic.say() as client:
        assert client.ask("STARTTLS").startswith("220")
        holder = (b"b" * 50 + b".") * 5 + b"c" * 40
        tls = HandTls(client, name=holder[:len(name)].strip(b".").ljust(len(name), b"d").decode())
        hello = tls.hello()
        wanted = tls.tls.server_hostname.encode()
        assert hello.count(wanted) == 1 and len(wanted) == len(name)
        client.socket.sendall(hello.replace(wanted, name))
        client.socket.settimeout(10)
        answer = client.socket.recv(100)
        assert answer == b"" or answer[0] in (21, 22)  # an alert, or a handshake that goes on
    log = clinic.gateway.log()
    assert "../../key" not in log and "X: y" not in log


def test_no_server_name_at_all_is_fine(clinic):
    with clinic.say() as client:
        assert client.ask("STARTTLS").startswith("220")
        tls = HandTls(client, name=None).handshake()
        assert tls.ask("EHLO a.example").startswith("250")


# ---- secrets ----

PASSWORD, USER = "s3cret-Pass", "nurse@clinic.example"


def forms():
    plain = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
    user, password = (base64.b64encode(text.encode()).decode() for text in (USER, PASSWORD))
    yield [f"AUTH PLAIN {plain}"]
    yield ["AUTH PLAIN", plain]
    yield ["AUTH LOGIN", user, password]
    yield [f"auth login {user}", password]
    yield ["AUTH LOGIN ", user, "*"]
    yield ["AUTH CRAM-MD5", plain]
    yield ["AUTH SCRAM-SHA-256 biwsbj1udXJzZSxyPXMzY3JldC1QYXNz", f"c=biws,r=x,p={password}"]
    yield [f"AUTH XOAUTH2 {plain}"]
    yield [f"AUTH {plain}"]
    yield [f"PASS {PASSWORD}", f"LOGIN {USER} {PASSWORD}", PASSWORD, f"NOOP {PASSWORD}",
           f"RCPT TO:<{PASSWORD}@clinic.example>"]
    yield [f"MAIL FROM:<{PASSWORD}@partner.example> AUTH={PASSWORD}"]


def needles():
    """The password, and its base64 at all three offsets."""
    yield PASSWORD.encode()
    for shift in range(3):
        text = base64.b64encode(b"x" * shift + PASSWORD.encode() + b"y" * ((-len(PASSWORD) - shift) % 3))
        yield text[4 if shift else 0:-4]


def test_auth_is_not_offered_and_what_is_tried_is_written_nowhere(clinic):
    for door in ("smtp", "submission", "submissions", "relay"):
        options = {"tls_at_once": clinic.machine} if door == "submissions" else {}
        for form in forms():
            for split in (False, True):
                with clinic.say(door, hello=False, **options) as client:
                    assert "AUTH" not in client.ask("EHLO a.example")
                    for line in form:
                        if split:
                            client.send(line[:len(line) // 2])
                            client.send(line[len(line) // 2:] + "\r\n")
                            answer = client.reply()
                        else:
                            answer = client.ask(line)
                        assert answer.startswith(("50", "53", "55")) or line.startswith(("NOOP", "MAIL")), (line,
                                                                                                            answer)
                        assert PASSWORD not in answer
    clinic.gateway.command("audit", "checkpoint")
    places = [path for path in clinic.gateway.folder.rglob("*") if path.is_file()]
    assert clinic.gateway.log_file in places and any(path.name == "store.sqlite" for path in places)
    for path in places:
        data = path.read_bytes()
        for needle in needles():
            assert needle not in data, (path, needle)


def test_submission_demands_tls_before_all_else(clinic):
    with clinic.say("submission") as client:
        for command in ("MAIL FROM:<nurse@clinic.example>", "MAIL FROM:<>"):
            assert client.ask(command).startswith("530 5.7.0")
        assert client.ask("RCPT TO:<x@partner.example>").startswith("503")
        assert client.ask("DATA").startswith("503")

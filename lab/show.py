# SPDX-License-Identifier: ISC
"""`make run`: a gateway in a small internet on loopback, some twenty mails through it, and what became of each.

    lab/show          show it; the gateway stays up
    lab/show --stop   stop everything that an earlier one left running
"""

import json
import os
import re
import shutil
import signal
import smtplib
import ssl
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from .certificates import Authority
from .dovecot import Dovecot
from .exim import Exim
from .gateway import Gateway
from .mails import mails
from .names import NameServer
from .peers import Peers
from .postfix import Postfix
from .processes import Server, free_port, wait_for_port

HOUSE = Path(__file__).resolve().parent.parent
# As root the roles run as users of their own, who must be able to reach the folder.
RUN = Path("/var/tmp/letterlock-show") if os.getuid() == 0 else HOUSE / "run"
GOOD, SELF_SIGNED, PLAIN = "127.0.1.1", "127.0.1.2", "127.0.1.3"

ZONE = [
    "partner MX 10 mx.partner", f"mx.partner A {GOOD}",
    "bank MX 10 mx.bank", f"mx.bank A {GOOD}",
    "oldclinic MX 10 mx.oldclinic", f"mx.oldclinic A {SELF_SIGNED}",
    "lab MX 10 mx.oldclinic",
    "plain MX 10 mx.plain", f"mx.plain A {PLAIN}",
    "newsletter MX 10 mx.plain",
    "freemail MX 10 mx.partner",
    "nomail MX 0 .",
]

POLICY = """\
# The policy of this show. `letterlock check` prints it as the gateway understood it.

hostname "mx.clinic.example"
domains "clinic.example"
administrator "postmaster@clinic.example"
state "{run}/state"
certificate "{certificate}" key "{key}"
roots "{roots}"
resolver "127.0.0.1 port {dns}"
trust anchor "{anchor}"
master key file "{master}"
largest message 25 MB

# The addresses of this machine's loopback stand for the Internet, and mail servers listen there at this port.
laboratory "127.0.0.0/8" port {mx}

listen smtp port {smtp} on "127.0.0.1"
listen relay port {relay} on "127.0.0.1" trusting certificate "mail.clinic.example"
listen submissions port {submissions} on "127.0.0.1" trusting certificate "lis.clinic.example"

route "clinic.example" to lmtp "127.0.0.1 port {lmtp}"

ladder safe {{ tls verify for 4 hours, hold }}
permit cleartext to "newsletter.example" until {until}

refuse "nothing to free mailers"    when to "freemail.example"
hold   "a second pair of eyes"      when subject has "[review]"
hold   "very large"                 when size over 200 KB
send   "the bank, by its own name"  when to "bank.example"  by {{ tls secure named "mx.bank.example" for 4 hours, hold }}
send   "the outside laboratory"     when to "lab.example"  by {{ tls encrypt for 1 day, return }}
send   "public newsletter"          when to "newsletter.example"  by {{ cleartext }}
send   "everything else"            by safe
"""


class SmallInternet:
    """Everything around the gateway. What cannot run here is replaced by a scripted server, and said."""

    def __init__(self, folder):
        self.folder, self.servers, self.remarks = Path(folder), [], []
        self.peers = Peers(HOUSE / "build/peers")
        self.authority = Authority(self.folder / "certificates")
        self.mx_port, self.dns_port, self.lmtp_port = free_port(), free_port(), free_port()

    def start(self):
        if not self.peers.unpack():
            raise SystemExit(f"The laboratory's servers could not be fetched: {self.peers.problem}")
        self.names = NameServer(self.folder / "names", self.peers, self.dns_port)
        self.names.publish(ZONE)
        self.servers.append(self.names)
        good = self.authority.issue("mx.partner.example", "mx.bank.example")
        stranger = self.authority.issue("mx.oldclinic.example", self_signed=True)
        self._real_or_scripted(
            "Postfix with a good certificate", GOOD, self.mx_port, good,
            lambda: Postfix(self.peers, self.folder / "postfix", GOOD, self.mx_port, "mx.partner.example",
                            ["partner.example", "bank.example"], *good))
        self._real_or_scripted(
            "Exim with a self-signed certificate", SELF_SIGNED, self.mx_port, stranger,
            lambda: Exim(self.peers, self.folder / "exim", SELF_SIGNED, self.mx_port, "mx.oldclinic.example",
                         ["oldclinic.example", "lab.example"], *stranger))
        self._start_scripted("plain", PLAIN, self.mx_port)
        self._real_or_scripted(
            "Dovecot behind our own domain", "127.0.0.1", self.lmtp_port, (None, None),
            lambda: Dovecot(self.peers, self.folder / "dovecot", "127.0.0.1", self.lmtp_port), lmtp=True)

    def _real_or_scripted(self, what, address, port, certificate, make, lmtp=False):
        try:
            server = make()
            server.start()
        except (RuntimeError, OSError, KeyError) as problem:
            self.remarks.append(f"{what} could not run here ({problem}); a scripted server takes its place")
            self._start_scripted(what.split()[0].lower(), address, port, *filter(None, certificate),
                                 *(["lmtp"] if lmtp else []))
        else:
            self.servers.append(server)

    def _start_scripted(self, name, address, port, *words):
        """As a process of its own, so that it stays when the show has ended."""
        server = Server(name, [sys.executable, "-m", "lab.scripted", address, port, *words],
                        self.folder / f"{name}.log", cwd=HOUSE)
        wait_for_port(address, port, process=server.process)
        self.servers.append(server)

    def hospital_server(self, relay_port):
        """The clinic's own mail server, which hands everything to the gateway; None where it cannot run."""
        certificate, key = self.authority.issue("mail.clinic.example")
        server = Postfix(self.peers, self.folder / "mail-server", "127.0.0.1", free_port(), "mail.clinic.example",
                         relay_to=("127.0.0.1", relay_port), relay_tls="encrypt", client_certificate=certificate,
                         client_key=key)
        try:
            server.start()
        except (RuntimeError, OSError, KeyError) as problem:
            self.remarks.append(f"the clinic's own Postfix could not run here ({problem}); its mail is handed in directly")
            return None
        self.servers.append(server)
        return server


def _send(port, mail, certificate=None, tls_at_once=False):
    """Hands one mail in; the refusal's text where there was one."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(*certificate)
    connect = smtplib.SMTP_SSL if tls_at_once else smtplib.SMTP
    options = {"context": context} if tls_at_once else {}
    with connect("127.0.0.1", port, local_hostname="client.example", **options) as client:
        client.ehlo()
        if not tls_at_once:
            client.starttls(context=context)
        try:
            client.sendmail(mail.sender, mail.recipients, mail.data, ["BODY=8BITMIME"])
        except smtplib.SMTPRecipientsRefused as refused:
            code, text = next(iter(refused.recipients.values()))
            return f"{code} {text.decode()}"
        except smtplib.SMTPResponseException as refused:
            return f"{refused.smtp_code} {refused.smtp_error.decode()}"
    return None


def _hand_in(internet, gateway_ports, hospital):
    """All mails by their doors; (mail, refusal) of those that were refused in the dialogue."""
    refused = []
    application = internet.authority.issue("lis.clinic.example")
    server = internet.authority.issue("mail.clinic.example")
    for mail in mails():
        if mail.door == "outside":
            answer = _send(gateway_ports["smtp"], mail)
        elif mail.door == "application":
            answer = _send(gateway_ports["submissions"], mail, application, tls_at_once=True)
        elif hospital:
            with smtplib.SMTP("127.0.0.1", hospital.port, local_hostname="desk.clinic.example") as client:
                client.sendmail(mail.sender, mail.recipients, mail.data, ["BODY=8BITMIME"])
            answer = None
        else:
            answer = _send(gateway_ports["relay"], mail, server)
        if answer:
            refused.append((mail, answer))
    return refused


def _refused_to(hospital):
    """What the gateway refused to the clinic's own server, by that server's log: (recipient, answer)."""
    if not hospital:
        return []
    pattern = r"to=<([^>]+)>.*status=bounced \(host [^ ]+ said: (.*) \(in reply to"
    return re.findall(pattern, hospital.log())


def _settled(gateway, expected, seconds=60):
    """The deliveries, once each has ended or waits for something that will not come by itself."""
    end = time.monotonic() + seconds
    rows = []
    while time.monotonic() < end:
        rows = json.loads(gateway.command("deliveries", "--json", "--last", "200", check=True).stdout)
        if len(rows) >= expected and all(row["attempts"] > 0 or row["state"] != "waiting" for row in rows):
            return rows
        time.sleep(0.3)
    return rows


def _table(rows):
    """Columns as wide as they must be, the last one wrapped to the window."""
    head = ("recipient", "rule", "way", "TLS", "what happened, and why")
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(4)]
    width = max(40, shutil.get_terminal_size((160, 24)).columns - sum(widths) - 8)
    indent = " " * (sum(widths) + 8)
    print("  ".join(text.ljust(size) for text, size in zip(head, widths)) + "  " + head[4])
    print("  ".join("-" * size for size in widths) + "  " + "-" * min(width, 60))
    for row in rows:
        lines = textwrap.wrap(row[4], width) or [""]
        print("  ".join(text.ljust(size) for text, size in zip(row, widths)) + "  " + lines[0])
        for line in lines[1:]:
            print(indent + line)


def _as_row(row):
    tls = " ".join(filter(None, (row.get("tls_version"), row.get("tls_cipher")))) or "–"
    return (row["recipient"], row["rule"], row.get("way") or "–", tls.replace("TLS_", ""), row["what"])


def stop():
    """Stops what an earlier show left running, by the process ids that it wrote down."""
    record = RUN / "processes.json"
    if not record.exists():
        print("Nothing of an earlier show is running.")
        return
    for pid, start in json.loads(record.read_text()):
        try:
            # A process id may have been given to somebody else meanwhile: its start time tells.
            if _start_time(pid) == start:
                os.kill(pid, signal.SIGTERM)
        except (OSError, ProcessLookupError):
            pass
    record.unlink()
    print("Stopped.")


def _start_time(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]


def _remember(internet, gateway):
    processes = [gateway.process.pid]
    for server in internet.servers:
        processes.append(getattr(server, "_server", server).process.pid)
    (RUN / "processes.json").write_text(json.dumps([(pid, _start_time(pid)) for pid in processes]))


def _until():
    end = time.gmtime(time.time() + 300 * 86400)
    return time.strftime("%Y-%m-%d", end)


def show():
    if (RUN / "processes.json").exists():
        stop()
        time.sleep(1)
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir(parents=True, mode=0o755)
    print("Letterlock: a small internet on loopback, and the gateway of a clinic in the middle of it.\n", flush=True)
    internet = SmallInternet(RUN)
    internet.start()
    ports = {"smtp": free_port(), "relay": free_port(), "submissions": free_port()}
    certificate, key = internet.authority.issue("mx.clinic.example")
    policy = POLICY.format(run=RUN, certificate=certificate, key=key, roots=internet.authority.certificate,
                           dns=internet.dns_port, anchor=internet.names.trust_anchor,
                           master=Gateway.make_master_key(RUN / "master.key"), mx=internet.mx_port,
                           lmtp=internet.lmtp_port, until=_until(), **ports)
    gateway = Gateway(HOUSE / "build", RUN, policy, [("127.0.0.1", port) for port in ports.values()])
    gateway.start()
    hospital = internet.hospital_server(ports["relay"])
    _remember(internet, gateway)
    print(textwrap.dedent(f"""\
        The clinic's mail server, its laboratory system and people outside hand in {len(mails())} mails now.
        Where they go:
          partner.example, bank.example    a Postfix with a certificate that verifies
          oldclinic.example, lab.example   an Exim with a self-signed certificate
          plain.example, newsletter.example  a server that knows no TLS at all
          nosuch.example, nomail.example   no such domain; a domain that takes no mail
          clinic.example                   our own: a Dovecot behind the gateway
        The policy: {gateway.policy_file}
        """), flush=True)
    refused = _hand_in(internet, ports, hospital)
    expected = sum(len(mail.recipients) for mail in mails()) - len(refused)
    if hospital:  # what the gateway refuses there comes back to the clinic's own server
        expected -= sum(mail.recipients[0].endswith("@freemail.example") for mail in mails())
    rows = _settled(gateway, expected)
    refusals = [(mail.recipients[0], answer) for mail, answer in refused] + _refused_to(hospital)
    _table([_as_row(row) for row in rows]
           + [(to, "–", "–", "–", f"refused while it was handed in: {answer}") for to, answer in refusals])
    for remark in internet.remarks:
        print(f"\nNote: {remark}.")
    told = next((row for row in rows if row["state"] == "held"), rows[0] if rows else None)
    if told:
        print(f"\nThe journey of one of them, as `letterlock trace {told['message']}` tells it:\n")
        print(textwrap.indent(gateway.command("trace", told["message"], check=True).stdout.rstrip(), "    "))
    program = HOUSE / "build/src/cli/letterlock"
    print(textwrap.dedent(f"""
        The gateway stays up. Look further:
          export LETTERLOCK_STATE={gateway.state}
          {program} queue                  what waits or is held, and why
          {program} trace ID               one message's journey
          {program} audit verify           is the journal whole and unchanged?
          {program} check {gateway.policy_file}
        Its log: {gateway.log_file}
        Stop everything: make stop"""))


def main():
    if sys.argv[1:] == ["--stop"]:
        stop()
    elif os.getuid() != 0 and shutil.which("sudo") and not os.environ.get("LETTERLOCK_SHOW_UNPRIVILEGED"):
        # The real mail servers drop from root to users of their own.
        result = subprocess.run(["sudo", "-n", "true"], capture_output=True)
        if result.returncode == 0 or sys.stdin.isatty():
            os.execvp("sudo", ["sudo", sys.executable, "-m", "lab.show", *sys.argv[1:]])
        show()
    else:
        show()


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: ISC
"""A Postfix of its own: configuration, queue and spool in one folder, run from the unpacked package."""

import grp
import os
import pwd
from pathlib import Path

from .processes import Server, read_maildir, wait_for_port


class Postfix:
    """Takes mail by SMTP (with STARTTLS where a certificate is given) and either relays it all to
    `relay_to`, or delivers every local part of `domains` into one mbox-like folder."""

    def __init__(self, peers, folder, address, port, hostname, domains=(), certificate=None, key=None,
                 relay_to=None, relay_tls="none", client_certificate=None, client_key=None, options=None):
        self.folder = Path(folder).resolve()
        self.address, self.port, self.hostname = address, port, hostname
        self._peers = peers
        self.mail = self.folder / "mail"
        for name in ("etc", "queue", "data", "mail"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._write_main(domains, certificate, key, relay_to, relay_tls, client_certificate, client_key,
                         options or {})
        self._write_master()
        self._server = None

    def _write_main(self, domains, certificate, key, relay_to, relay_tls, client_certificate, client_key,
                    options):
        root = self._peers.root
        settings = {
            "compatibility_level": "3.6",
            "queue_directory": self.folder / "queue",
            "data_directory": self.folder / "data",
            "command_directory": root / "usr/sbin",
            "daemon_directory": root / "usr/lib/postfix/sbin",
            "meta_directory": root / "etc/postfix",
            "shlib_directory": root / "usr/lib/postfix",
            "mail_owner": "mail", "setgid_group": "uucp", "default_privs": "nobody",
            # The unpacked libraries are found through the environment.
            "import_environment": "MAIL_CONFIG LD_LIBRARY_PATH TZ",
            "export_environment": "TZ LD_LIBRARY_PATH",
            "myhostname": self.hostname, "mydomain": self.hostname.split(".", 1)[-1],
            "mydestination": "", "inet_interfaces": "loopback-only", "inet_protocols": "ipv4",
            "mynetworks": "127.0.0.0/8",
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "maillog_file": self.folder / "postfix.log",
            "maillog_file_prefixes": self.folder,
            "alias_maps": "", "alias_database": "", "local_recipient_maps": "",
            "message_size_limit": "60000000", "mailbox_size_limit": "0", "virtual_mailbox_limit": "0",
            "smtp_dns_support_level": "disabled", "smtpd_client_connection_rate_limit": "0",
            "smtpd_client_connection_count_limit": "0", "biff": "no",
            "smtputf8_enable": "no", "strict_smtputf8": "no",
        }
        if domains:
            owner = pwd.getpwnam("mail")
            os.chown(self.mail, owner.pw_uid, owner.pw_gid)
            catch_all = self.folder / "etc/mailboxes"
            catch_all.write_text("".join(f"@{domain} {domain}/\n" for domain in domains))
            settings |= {
                "virtual_mailbox_domains": ", ".join(domains), "virtual_mailbox_base": self.mail,
                "virtual_mailbox_maps": f"texthash:{catch_all}",
                "virtual_uid_maps": f"static:{owner.pw_uid}", "virtual_gid_maps": f"static:{owner.pw_gid}",
                "virtual_minimum_uid": "1",
            }
        if certificate:
            settings |= {"smtpd_tls_cert_file": certificate, "smtpd_tls_key_file": key,
                         "smtpd_tls_security_level": "may", "smtpd_tls_received_header": "yes",
                         "smtpd_tls_loglevel": "1"}
        if relay_to:
            settings |= {"relayhost": f"[{relay_to[0]}]:{relay_to[1]}", "smtp_tls_security_level": relay_tls,
                         "default_destination_concurrency_limit": "20", "relay_domains": ""}
            if client_certificate:
                settings |= {"smtp_tls_cert_file": client_certificate, "smtp_tls_key_file": client_key}
        settings |= options
        text = "".join(f"{name} = {value}\n" for name, value in settings.items())
        (self.folder / "etc/main.cf").write_text(text)

    def _write_master(self):
        services = [
            (f"{self.address}:{self.port}", "inet", "n", "-", "smtpd"), ("pickup", "unix", "n", "60", "pickup"),
            ("cleanup", "unix", "n", "-", "cleanup"), ("qmgr", "unix", "n", "300", "qmgr"),
            ("tlsmgr", "unix", "-", "1000?", "tlsmgr"), ("rewrite", "unix", "-", "-", "trivial-rewrite"),
            ("bounce", "unix", "-", "-", "bounce"), ("defer", "unix", "-", "-", "bounce"),
            ("trace", "unix", "-", "-", "bounce"), ("verify", "unix", "-", "-", "verify"),
            ("flush", "unix", "n", "1000?", "flush"), ("proxymap", "unix", "-", "-", "proxymap"),
            ("smtp", "unix", "-", "-", "smtp"), ("relay", "unix", "-", "-", "smtp"),
            ("error", "unix", "-", "-", "error"), ("retry", "unix", "-", "-", "error"),
            ("discard", "unix", "-", "-", "discard"), ("virtual", "unix", "-", "-", "virtual"),
            ("anvil", "unix", "-", "-", "anvil"), ("scache", "unix", "-", "-", "scache"),
            ("postlog", "unix-dgram", "n", "-", "postlogd"),
        ]
        limits = {"qmgr": "1", "tlsmgr": "1", "pickup": "1", "verify": "1", "anvil": "1", "scache": "1",
                  "postlog": "1", "bounce": "0", "defer": "0", "trace": "0", "flush": "0", "cleanup": "0"}
        unprivileged_only = {"virtual"}
        lines = []
        for name, kind, private, wakeup, program in services:
            unprivileged = "n" if program in unprivileged_only else "-"
            lines.append(f"{name} {kind} {private} {unprivileged} n {wakeup} {limits.get(name, '-')} {program}")
        (self.folder / "etc/master.cf").write_text("\n".join(lines) + "\n")

    def _make_queue(self, owner):
        """The folders that Postfix's own installation script would have made."""
        queue = self.folder / "queue"
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming",
                     "private", "saved", "trace", "maildrop", "public"):
            (queue / name).mkdir(exist_ok=True)
            os.chown(queue / name, owner.pw_uid, -1)
            (queue / name).chmod(0o700)
        (queue / "pid").mkdir(exist_ok=True)
        drop = grp.getgrnam("uucp").gr_gid
        for name, mode in (("maildrop", 0o730), ("public", 0o710)):
            os.chown(queue / name, owner.pw_uid, drop)
            (queue / name).chmod(mode)

    def start(self):
        environment = {**self._peers.environment(), "MAIL_CONFIG": str(self.folder / "etc")}
        owner = pwd.getpwnam("mail")
        os.chown(self.folder / "data", owner.pw_uid, owner.pw_gid)
        self._make_queue(owner)
        self._server = Server("postfix", [self._peers.path("usr/lib/postfix/sbin/master"), "-d",
                                          "-c", self.folder / "etc"],
                              self.folder / "master.log", environment)
        wait_for_port(self.address, self.port, process=self._server.process)

    def stop(self):
        if self._server:
            self._server.stop()

    def messages(self, domain):
        """The bytes of each message delivered for the domain, as Postfix stored them."""
        return read_maildir(self.mail / domain)

    def log(self):
        log = self.folder / "postfix.log"
        return log.read_text(errors="replace") if log.exists() else ""

# SPDX-License-Identifier: ISC
"""A Dovecot of its own, run from the unpacked package: takes mail by LMTP into a folder a user."""

import os
import pwd
from pathlib import Path

from .processes import Server, read_maildir, wait_for_port


class Dovecot:
    def __init__(self, peers, folder, address, port):
        self.folder = Path(folder).resolve()
        self.address, self.port = address, port
        self._peers = peers
        self._server = None
        self.mail = self.folder / "mail"
        for name in ("run", "mail", "state"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        user = pwd.getpwuid(os.getuid()).pw_name
        internal, login = ("mail", "nobody") if user == "root" else (user, user)
        owner = pwd.getpwnam(internal)
        if user == "root":
            os.chown(self.mail, owner.pw_uid, owner.pw_gid)
        root = peers.root
        self._configuration = self.folder / "dovecot.conf"
        self._configuration.write_text(f"""
protocols = lmtp
base_dir = {self.folder}/run
state_dir = {self.folder}/state
instance_name = laboratory
libexec_dir = {root}/usr/lib/dovecot
mail_plugin_dir = {root}/usr/lib/dovecot/modules
default_internal_user = {internal}
default_internal_group = {'mail' if user == 'root' else pwd.getpwuid(os.getuid()).pw_name}
default_login_user = {login}
first_valid_uid = 1
log_path = {self.folder}/dovecot.log
ssl = no
import_environment = TZ LD_LIBRARY_PATH LD_PRELOAD RELOCATE_ROOT
mail_location = maildir:{self.mail}/%d/%n
lmtp_save_to_detail_mailbox = no
lmtp_add_received_header = no
userdb {{
  driver = static
  args = uid={owner.pw_uid} gid={owner.pw_gid} home={self.mail}/%d/%n allow_all_users=yes
}}
passdb {{
  driver = static
  args = nopassword=y
}}
service lmtp {{
  inet_listener lmtp {{
    address = {address}
    port = {port}
  }}
  chroot =
}}
service anvil {{
  chroot =
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
protocol lmtp {{
  mail_plugins =
}}
""")

    def start(self):
        # Dovecot would look for doveconf in /usr/bin: so doveconf starts Dovecot, as Dovecot itself
        # would have it.
        daemon = self._peers.path("usr/sbin/dovecot")
        command = [self._peers.path("usr/bin/doveconf"), "-f", "service=master", "-c", self._configuration,
                   "-m", "master", "-p", "-e", daemon, "-F", "-c", self._configuration]
        self._server = Server("dovecot", command, self.folder / "dovecot.out",
                              self._peers.environment_relocated())
        wait_for_port(self.address, self.port, process=self._server.process)

    def stop(self):
        if self._server:
            self._server.stop()

    def messages(self, address):
        local, domain = address.split("@")
        return read_maildir(self.mail / domain / local)

    def log(self):
        log = self.folder / "dovecot.log"
        return log.read_text(errors="replace") if log.exists() else ""

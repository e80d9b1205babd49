# SPDX-License-Identifier: ISC
"""An Exim of its own, run from the unpacked package: takes everything for its domains into a folder."""

import grp
import os
import pwd
from pathlib import Path

from .processes import Server, read_maildir, wait_for_port


class Exim:
    def __init__(self, peers, folder, address, port, hostname, domains, certificate=None, key=None):
        self.folder = Path(folder).resolve()
        self.address, self.port = address, port
        self._peers = peers
        self.mail = self.folder / "mail"
        self._server = None
        user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        if user == "root":
            user, group = "mail", "mail"
        for name in ("spool", "mail", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
            if os.getuid() == 0:
                os.chown(self.folder / name, pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid)
        tls = (f"tls_advertise_hosts = *\ntls_certificate = {certificate}\ntls_privatekey = {key}\n"
               if certificate else "tls_advertise_hosts =\n")
        self._configuration = self.folder / "exim.conf"
        self._configuration.write_text(f"""
exim_path = {peers.root}/usr/sbin/exim4
exim_user = {user}
exim_group = {group}
never_users =
deliver_drop_privilege = true
spool_directory = {self.folder}/spool
log_file_path = {self.folder}/log/%slog
pid_file_path = {self.folder}/exim.pid
primary_hostname = {hostname}
domainlist ours = {' : '.join(domains)}
local_interfaces = {address}
daemon_smtp_ports = {port}
{tls}acl_smtp_rcpt = accept_ours
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max = 200
smtp_accept_queue_per_connection = 0
keep_environment = LD_LIBRARY_PATH : LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
message_size_limit = 60M
chunking_advertise_hosts = *
begin acl
accept_ours:
  accept domains = +ours
  deny message = relay not permitted
begin routers
ours:
  driver = accept
  domains = +ours
  transport = folder
begin transports
folder:
  driver = appendfile
  maildir_format
  directory = {self.mail}/$domain_data
  create_directory
  user = {user}
  group = {group}
  message_prefix =
  message_suffix =
begin retry
*  *  F,2h,15m
""")
        account = pwd.getpwnam(user)
        self._environment = peers.environment_with_user(self.folder, "Debian-exim", account.pw_uid, account.pw_gid)
        # The key is read by Exim's own user after it has given up root.
        if key and os.getuid() == 0:
            os.chown(key, pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid)

    def start(self):
        self._server = Server("exim", [self._peers.path("usr/sbin/exim4"), "-bdf", "-q1m", "-C", self._configuration],
                              self.folder / "exim.out", self._environment)
        wait_for_port(self.address, self.port, process=self._server.process)

    def stop(self):
        if self._server:
            self._server.stop()

    def messages(self, domain):
        return read_maildir(self.mail / domain)

    def log(self):
        return "".join(path.read_text(errors="replace") for path in (self.folder / "log").glob("*log"))

# SPDX-License-Identifier: ISC
"""The name service: a zone signed with its own trust anchor, served by NSD on loopback."""

import os
import subprocess
import time
from pathlib import Path

from .processes import Server, wait_for_port


class NameServer:
    """Serves the zone `example.` with the records given; DNSSEC-signed."""

    def __init__(self, folder, peers, port, address="127.0.0.1"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.address, self.port = address, port
        self._peers = peers
        self._server = None
        self.trust_anchor = self.folder / "trust-anchor.txt"
        self._keys = None

    def _make_keys(self):
        if self._keys:
            return
        environment = self._peers.environment()
        keygen = self._peers.path("usr/bin/ldns-keygen")
        names = []
        for flag in (["-k"], []):
            result = subprocess.run([keygen, "-a", "ECDSAP256SHA256", *flag, "example"], cwd=self.folder,
                                    env=environment, capture_output=True, text=True, check=True)
            names.append(result.stdout.strip())
        self._keys = names
        anchors = "\n".join((self.folder / f"{name}.key").read_text().strip() for name in names[:1])
        self.trust_anchor.write_text(anchors + "\n")

    def publish(self, records):
        """`records`: zone-file lines below `example.`, e.g. "clinic MX 10 mx.clinic"."""
        self._make_keys()
        serial = int(time.time())
        lines = ["$ORIGIN example.", "$TTL 60",
                 f"@ SOA ns.example. hostmaster.example. {serial} 3600 600 86400 60",
                 "@ NS ns.example.", f"ns A {self.address}", *records]
        zone = self.folder / "example.zone"
        zone.write_text("\n".join(lines) + "\n")
        subprocess.run([self._peers.path("usr/bin/ldns-signzone"), "-n", "-f", "example.signed", "example.zone",
                        *self._keys], cwd=self.folder, env=self._peers.environment(), check=True,
                       capture_output=True)
        if self._server:
            self._server.stop()
            self._server = None
        self._start()

    def _start(self):
        configuration = self.folder / "nsd.conf"
        configuration.write_text(f"""server:
  ip-address: {self.address}@{self.port}
  username: ""
  zonesdir: "{self.folder}"
  database: ""
  pidfile: "{self.folder}/nsd.pid"
  xfrdfile: "{self.folder}/xfrd.state"
  xfrdir: "{self.folder}"
  zonelistfile: "{self.folder}/zone.list"
  server-count: 1
  verbosity: 0
remote-control:
  control-enable: no
zone:
  name: "example"
  zonefile: "example.signed"
""")
        self._server = Server("nsd", [self._peers.path("usr/sbin/nsd"), "-d", "-c", configuration],
                              self.folder / "nsd.log", self._peers.environment())
        wait_for_port(self.address, self.port, process=self._server.process)

    def stop(self):
        if self._server:
            self._server.stop()

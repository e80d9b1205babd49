# SPDX-License-Identifier: ISC
"""Starting what a laboratory needs, waiting until it answers, and stopping it by its process id."""

import os
import random
import signal
import socket
import subprocess
import time


_given = set()  # to this process


def free_port(address="127.0.0.1"):
    """A port that is free on every loopback address that the laboratory uses. It lies below those that the system
    gives to clients, so that none takes it before its server does, or while that is restarted."""
    for _ in range(200):
        port = random.randrange(10000, 32000)
        others = (address, "127.0.0.1", "127.0.1.1", "127.0.1.2", "127.0.1.3")
        if port not in _given and all(_is_free(other, port) for other in others):
            _given.add(port)
            return port
    raise RuntimeError("no free port on loopback")


def _is_free(address, port):
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def wait_for_port(address, port, seconds=30, process=None):
    """Until something listens there; raises when the process ended or the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with status {process.returncode}")
        try:
            socket.create_connection((address, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing listens on {address} port {port}")


def read_maildir(folder):
    """The bytes of each new message there, oldest name first."""
    return [path.read_bytes() for path in sorted((folder / "new").glob("*"))]


class Server:
    """A server process of ours: its log is a file, its end is by process id."""

    def __init__(self, name, command, log, environment=None, cwd=None):
        self.name = name
        self._log = open(log, "ab")
        self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL,
                                        stdout=self._log, stderr=self._log, cwd=cwd,
                                        env={**os.environ, **(environment or {})},
                                        start_new_session=True)

    def stop(self, seconds=10):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self._log.close()

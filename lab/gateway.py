# SPDX-License-Identifier: ISC
"""The gateway itself: a policy file, keys, the daemon, and the commands an administrator types."""

import os
import signal
import subprocess
import time
from pathlib import Path

from .processes import wait_for_port


class Gateway:
    """`build` is the folder with the programs. The state lies below `folder`. `prefix` is a command that runs the
    daemon (it must become it), `arguments` are more of its own."""

    def __init__(self, build, folder, policy, listens, environment=None, prefix=(), arguments=()):
        self.build, self.folder = Path(build).resolve(), Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.policy_file = self.folder / "letterlock.conf"
        self.policy_file.write_text(policy)
        self.state = self.folder / "state"
        self.listens = list(listens)
        self.environment = {**os.environ, **(environment or {})}
        self.prefix, self.arguments = list(prefix), list(arguments)
        self.log_file = self.folder / "letterlockd.log"
        self.process = None

    @staticmethod
    def make_master_key(path):
        path = Path(path)
        if not path.exists():
            path.write_text(os.urandom(32).hex() + "\n")
            path.chmod(0o600)
        return path

    def start(self, seconds=30):
        log = open(self.log_file, "ab")
        self.process = subprocess.Popen([*self.prefix, self.build / "src/daemon/letterlockd", "-c", self.policy_file,
                                         *self.arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        env=self.environment, start_new_session=True)
        log.close()
        try:
            for address, port in self.listens:
                wait_for_port(address, port, seconds, self.process)
            self.wait_for_control(seconds)
        except RuntimeError as problem:
            self.kill()
            raise RuntimeError(f"{problem}\n{self.log()[-3000:]}") from None
        return self

    def wait_for_control(self, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"letterlockd ended with status {self.process.returncode}")
            if self.command("status").returncode == 0:
                return
            time.sleep(0.1)
        raise RuntimeError("the control socket does not answer")

    def command(self, *arguments, check=False, **options):
        """Runs `letterlock`; the result has .stdout and .stderr as text."""
        result = subprocess.run([self.build / "src/cli/letterlock", *map(str, arguments)], capture_output=True,
                                text=True, env={**self.environment, "LETTERLOCK_STATE": str(self.state)}, **options)
        if check and result.returncode != 0:
            raise AssertionError(f"letterlock {' '.join(map(str, arguments))}: {result.stdout}{result.stderr}")
        return result

    def roles(self):
        """{role: process id} of the running roles."""
        found = {}
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            try:
                words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"--role" in words:
                found[words[words.index(b"--role") + 1].decode()] = int(child)
        return found

    def kill_role(self, role):
        pid = self.roles().get(role)
        if pid:
            os.kill(pid, signal.SIGKILL)
        return pid

    def reload(self, policy=None):
        if policy is not None:
            self.policy_file.write_text(policy)
        self.process.send_signal(signal.SIGHUP)

    def stop(self, seconds=30):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode if self.process else None

    def kill(self):
        """kill -9 of everything at once; until all of it is dead."""
        if self.process and self.process.poll() is None:
            group = self.process.pid
            os.killpg(group, signal.SIGKILL)
            self.process.wait()
            # Also a role that was being forked at this moment, and holds the listeners.
            while any(_is_alive(pid) for pid in _members(group)):
                time.sleep(0.005)
        elif self.process:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""


def _members(group):
    """The processes of a process group, zombies too."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getpgid(int(entry.name)) == group:
                    yield int(entry.name)
            except ProcessLookupError:
                pass


def _is_alive(pid):
    """Neither gone nor a zombie that nobody has buried yet. A zombie whose threads still end holds descriptors."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return words[0] not in "ZX" or int(words[17]) > 1
    except OSError:
        return False

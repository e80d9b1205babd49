# SPDX-License-Identifier: ISC
"""Real mail servers of Debian, unpacked into a folder of their own: nothing is installed over what
the machine has, and a mail server that runs here already stays as it is."""

import fcntl
import os
import subprocess
from pathlib import Path

# Debian packages that are unpacked, never installed: they conflict with each other, or would start
# a service. Listed with their reasons in packaging/debian-packages.txt.
UNPACKED = ["postfix", "exim4-daemon-light", "exim4-base", "dovecot-core", "dovecot-lmtpd", "nsd", "ldnsutils",
            "libnss-wrapper"]


def _run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def _is_installed(package):
    return "install ok installed" in _run("dpkg-query", "-W", "-f", "${Status}", package).stdout


def _missing_libraries():
    """Library packages that the unpacked programs need and the machine does not have."""
    result = _run("apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts",
                  "--no-breaks", "--no-replaces", "--no-enhances", *UNPACKED)
    names = {line.strip() for line in result.stdout.splitlines() if line[:1] not in (" ", "|", "<")}
    libraries = sorted(name for name in names if name.startswith("lib") and ":" not in name)
    candidates = [name for name in libraries if not _is_installed(name)]
    # Virtual packages and alternatives have no version of their own to fetch.
    policies = _run("apt-cache", "policy", *candidates).stdout.splitlines() if candidates else []
    names = [line.rstrip(":") for line in policies if line and not line.startswith(" ")]
    versions = [line.split()[-1] for line in policies if line.strip().startswith("Candidate:")]
    return [name for name, version in zip(names, versions) if version != "(none)"]


class Peers:
    """The folder with the unpacked servers; unpack() fills it once."""

    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        self.root = self.folder / "root"

    def unpack(self):
        """Fetches and unpacks what is not here. False, with a reason in .problem, where that fails."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "lock", "w") as lock:  # two test runs may begin at once
            fcntl.flock(lock, fcntl.LOCK_EX)
            return self._unpack()

    def _unpack(self):
        self.problem = ""
        if (self.folder / "complete").exists():
            return True
        downloads = self.folder / "packages"
        downloads.mkdir(parents=True, exist_ok=True)
        result = _run("apt-get", "download", *UNPACKED, *_missing_libraries(), cwd=downloads)
        if result.returncode != 0:
            self.problem = result.stderr.strip().splitlines()[-1] if result.stderr.strip() else "apt-get failed"
            return False
        for package in sorted(downloads.glob("*.deb")):
            result = _run("dpkg", "-x", str(package), str(self.root))
            if result.returncode != 0:
                self.problem = result.stderr.strip()
                return False
        for program in self.root.rglob("*"):  # nothing here is to run with more rights than its user
            if program.is_file() and not program.is_symlink() and program.stat().st_mode & 0o6000:
                program.chmod(program.stat().st_mode & 0o777)
        (self.folder / "complete").write_text("ok\n")
        return True

    def path(self, name):
        return self.root / name

    def has(self, name):
        return self.path(name).exists()

    def environment(self):
        """The unpacked libraries come after the system's own directories would: only what is
        missing there is taken from here, but for the servers' private ones."""
        libraries = [self.root / "usr/lib/postfix", self.root / "usr/lib/dovecot",
                     self.root / "usr/lib/dovecot/modules/old-stats", self.root / "usr/lib/dovecot/modules",
                     *(self.root / "usr/lib").glob("*-linux-gnu"), *(self.root / "lib").glob("*-linux-gnu")]
        return {**os.environ, "LD_LIBRARY_PATH": ":".join(str(path) for path in libraries)}

    def environment_with_user(self, folder, user, uid, gid):
        """The same, with a user that this machine does not have: a server that was built for a user
        of its own finds it, and no account is made here."""
        passwd, group = Path(folder) / "passwd", Path(folder) / "group"
        passwd.write_text(Path("/etc/passwd").read_text() + f"{user}:x:{uid}:{gid}::/nonexistent:/bin/false\n")
        group.write_text(Path("/etc/group").read_text() + f"{user}:x:{gid}:\n")
        wrapper = next((self.root / "usr/lib").glob("*-linux-gnu/libnss_wrapper.so"), None)
        return {**self.environment(), "LD_PRELOAD": str(wrapper), "NSS_WRAPPER_PASSWD": str(passwd),
                "NSS_WRAPPER_GROUP": str(group)}

    def environment_relocated(self):
        """The same, for a server that looks for folders of its own below /usr."""
        library = self.folder / "relocate.so"
        if not library.exists():
            source = Path(__file__).parent / "relocate.c"
            subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"], check=True)
        return {**self.environment(), "LD_PRELOAD": str(library), "RELOCATE_ROOT": str(self.root)}

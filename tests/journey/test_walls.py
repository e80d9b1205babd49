# SPDX-License-Identifier: ISC
"""The processes and their walls: users, privileges, descriptors, files, the control socket, and starts that fail."""

import ctypes
import os
import re
import shutil
import signal
import socket
import sqlite3
import stat
import struct
import subprocess
from pathlib import Path

import pytest

from conftest import BUILD, POLICY, Internet, wait_until
from lab.gateway import Gateway
from lab.processes import free_port

ROLES = ("keeper", "control", "deliver", "receive")
RULES = 'send "all" by { tls encrypt, return }'
NOBODY, STRANGER = 65534, 61999
LANDLOCK_CREATE_RULESET, LANDLOCK_VERSION = 444, 1

MAY_CHANGE_USERS = os.getuid() == 0 and subprocess.run(
    ["setpriv", "--reuid=61999", "--regid=61999", "--clear-groups", "true"], capture_output=True).returncode == 0
needs_root = pytest.mark.skipif(not MAY_CHANGE_USERS, reason="only root can give each role a user of its own")


class House:
    """One gateway, started with a descriptor and an environment that no role should see."""

    def __init__(self, internet):
        self.internet = internet
        self.inside = internet.inside()
        (internet.folder / "inherited").write_text("not for you")
        leak = ("sh", "-c", f'exec 9<{internet.folder}/inherited; exec "$@"', "sh")
        self.gateway = internet.start(RULES, {"supervisor.restart_longest_ms": 100}, prefix=leak,
                                      environment={"SECRET_OF_THE_SERVICE": "not for you"})
        self.master = internet.folder / "master.key"
        self.mail_flows()  # so that every role is ready, its walls around it

    def statuses(self):
        """(role, /proc/…/status as a dictionary) of each thread of each role."""
        for role, pid in self.gateway.roles().items():
            for task in Path(f"/proc/{pid}/task").iterdir():
                text = (task / "status").read_text()
                yield role, dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)

    def descriptors(self, role):
        folder = Path(f"/proc/{self.gateway.roles()[role]}/fd")
        try:
            return {int(entry.name): os.readlink(entry) for entry in folder.iterdir()}
        except PermissionError:
            pytest.skip("no process may look into another here (a container without the right to trace)")

    def mail_flows(self):
        before = len(self.inside.messages)
        self.internet.send("a@else.example", "nurse@clinic.example", door="smtp")
        self.inside.wait_for(before + 1)


@pytest.fixture(scope="module")
def house(shared_internet):
    return House(shared_internet)


# ---- what a role is ----

@needs_root
def test_each_role_runs_as_a_user_of_its_own_without_root_s_groups(house):
    users = {}
    for role, status in house.statuses():
        assert len(set(status["Uid"].split())) == 1 and len(set(status["Gid"].split())) == 1
        assert status["Groups"].split() == [status["Gid"].split()[0]]
        assert set(status["CapEff"]) == set(status["CapPrm"]) == {"0"}
        users.setdefault(role, set()).add(status["Uid"].split()[0])
    assert set(users) == set(ROLES)
    all_users = [user for role in users for user in users[role]]
    assert len(set(all_users)) == len(ROLES) == len(all_users) and "0" not in all_users


def test_no_thread_of_a_role_can_gain_privileges_or_call_what_its_filter_does_not_name(house):
    seen = set()
    for role, status in house.statuses():
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", f"{role}, {status['Name']}"
        seen.add(role)
    assert seen == set(ROLES)


def test_no_role_leaves_a_core_or_can_be_looked_into(house):
    for role, pid in {**house.gateway.roles(), "supervisor": house.gateway.process.pid}.items():
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"^Max core file size +0 +0 ", limits, re.M), role
        if MAY_CHANGE_USERS:  # what cannot be dumped belongs to root, whoever it runs as
            assert os.stat(f"/proc/{pid}/environ").st_uid == 0, role


def test_landlock_holds_where_the_kernel_has_it_and_its_absence_is_said(house):
    version = ctypes.CDLL(None, use_errno=True).syscall(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_VERSION)
    told = [line for line in house.gateway.log().splitlines() if "this kernel has no Landlock" in line]
    if version >= 1:
        assert not told
    else:
        assert {re.search(r"role=(\w+)", line).group(1) for line in told} == set(ROLES)


def test_a_role_has_the_descriptors_that_it_was_handed_and_no_others(house):
    house.mail_flows()
    state = str(house.gateway.state)
    own = {"keeper": f"{state}/keeper/", "control": f"{state}/store/", "deliver": f"{state}/store/",
           "receive": f"{state}/store/"}
    for role in ROLES:
        for number, target in house.descriptors(role).items():
            assert "inherited" not in target
            assert (target == "/dev/null" or target == str(house.gateway.log_file) and number == 2
                    or target.startswith((own[role], "socket:", "/memfd:letterlock-", "anon_inode:", "pipe:"))), \
                f"{role}: descriptor {number} is {target}"
    assert not any("store/" in target for target in house.descriptors("keeper").values())
    for role in ("control", "deliver", "receive"):
        assert not any("secrets" in target or "/keeper/" in target for target in house.descriptors(role).values())


def test_only_receive_holds_the_listening_sockets(house):
    ports = {house.internet.ports[name] for name in ("smtp", "submission", "submissions", "relay")}
    inodes = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        port = int(words[1].split(":")[1], 16)
        if words[3] == "0A" and port in ports:
            inodes[f"socket:[{words[9]}]"] = port
    assert set(inodes.values()) == ports
    assert {target for target in house.descriptors("receive").values() if target in inodes} == set(inodes)
    for role in ("keeper", "control", "deliver"):
        assert not set(inodes) & set(house.descriptors(role).values()), role


def test_a_role_s_environment_and_command_line_tell_nothing(house):
    for role, pid in house.gateway.roles().items():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except PermissionError:
            pytest.skip("no process may look into another here (a container without the right to trace)")
        names = {entry.split(b"=")[0] for entry in environment if entry}
        assert names <= {b"LETTERLOCK_TEST_LIMITS", b"LETTERLOCK_TEST_CLOCK"}, role
        assert Path(f"/proc/{pid}/cmdline").read_bytes() == f"letterlockd\0--role\0{role}\0".encode()


def test_nothing_in_the_state_directory_is_open_to_others(house):
    house.mail_flows()
    master = (house.master.stat(), house.master.read_bytes())
    for _, status in house.statuses():
        assert int(status["Umask"], 8) & 0o007 == 0o007
    public = {house.gateway.state / "store/checkpoint.pub", house.gateway.state / "keeper/checkpoint.pub"}
    seen = 0
    for path in [house.gateway.state, *house.gateway.state.rglob("*")]:
        mode = path.lstat().st_mode
        seen += 1
        if stat.S_ISDIR(mode):
            assert mode & 0o006 == 0, f"{path} can be listed by others"
        elif path not in public:  # the public key of the journal's checkpoints
            assert mode & 0o007 == 0, f"{path}: {oct(mode)}"
    assert seen > 6
    if MAY_CHANGE_USERS:
        assert stat.S_IMODE((house.gateway.state / "keeper").stat().st_mode) == 0o700
        assert (house.gateway.state / "keeper/keys").stat().st_uid not in (0, os.stat(house.gateway.state / "store").st_uid)
    assert master[1] == house.master.read_bytes() and stat.S_IMODE(master[0].st_mode) == 0o600
    assert house.master.stat().st_mtime_ns == master[0].st_mtime_ns


# ---- death ----

@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV], ids=["killed", "crashed"])
def test_a_role_that_died_is_started_again_and_mail_flows(house, role, number):
    old = house.gateway.roles()
    os.kill(old[role], number)
    wait_until(lambda: house.gateway.roles().get(role, old[role]) != old[role], f"{role} is started again")
    house.gateway.wait_for_control()
    house.mail_flows()
    now = house.gateway.roles()
    assert {name for name in ROLES if now[name] != old[name]} == {role}
    name = "KILL" if number == signal.SIGKILL else "SEGV"
    status = house.gateway.command("status", check=True).stdout
    assert re.search(rf"{role} +process {now[role]} .*started again \d+ times?, last killed by {name}", status)
    assert f'fact="a role died and is started again" role={role} signal={name}' in house.gateway.log()


def test_a_role_ends_at_its_supervisor_s_word_alone(house):
    roles = house.gateway.roles()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        for pid in roles.values():
            os.kill(pid, number)
    house.mail_flows()
    assert house.gateway.roles() == roles


# ---- the control socket ----

def ask(house, data, seconds=10):
    """What the control socket answers to these bytes until it closes."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(seconds)
        client.connect(str(house.gateway.state / "run/control.sock"))
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        except (BrokenPipeError, ConnectionResetError):
            return b""
    return answer


def request(version=1, op=1, delivery=0, text=b"", length=None):
    body = bytes([version, op]) + bytes(16) + struct.pack(">II", delivery, len(text)) + text
    return struct.pack(">I", len(body) if length is None else length) + body


HOSTILE = {
    "nothing": b"",
    "a length cut short": b"\0\0",
    "a length of nothing": bytes(4),
    "a length beyond all": b"\xff\xff\xff\xff",
    "a length just beyond": struct.pack(">I", 1101) + bytes(1101),
    "another protocol": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "another version": request(version=2),
    "no operation": request(op=0),
    "an operation beyond the last": request(op=200),
    "a text longer than it says": request(length=len(request()) - 4 + 9),
    "a text shorter than it says": request(text=b"12345678", length=len(request()) - 4),
    "more after the text": request(length=len(request()) + 1) + b"tail!",
    "controls in the text": request(op=3, text=b"a\x1b[31m\n"),
    "a message that is none": request(op=5),
    "a destination that is none": request(op=3, text=b"'; DROP TABLE delivery; --"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_on_the_control_socket_are_answered_by_a_refusal_or_an_end(house, name):
    roles = house.gateway.roles()
    answer = ask(house, HOSTILE[name])
    assert len(answer) < 2000
    if answer and name != "a destination that is none":
        assert answer[4] == 3, "a frame that says why it failed"
    assert house.gateway.roles() == roles
    house.gateway.command("status", check=True)


def test_every_cut_of_a_request_is_refused(house):
    roles = house.gateway.roles()
    whole = request(op=3, text=b"partner.example")
    for size in range(len(whole)):
        answer = ask(house, whole[:size])
        assert not answer or answer[4] == 3
    assert ask(house, whole).endswith(b"\0\0\0\x01\x02")
    assert house.gateway.roles() == roles


def test_who_asks_nothing_keeps_nobody_waiting_for_long(house):
    silent = [socket.socket(socket.AF_UNIX) for _ in range(4)]
    try:
        for client in silent:
            client.connect(str(house.gateway.state / "run/control.sock"))
        house.gateway.command("status", check=True, timeout=60)
    finally:
        for client in silent:
            client.close()


def as_user(uid, command, **options):
    return subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *map(str, command)],
                          capture_output=True, text=True, **options)


@needs_root
def test_a_foreign_user_is_refused_at_the_control_socket(house):
    environment = {"LETTERLOCK_STATE": str(house.gateway.state), "PATH": os.environ["PATH"]}
    for command in (["status"], ["queue"], ["trace", "0" * 26], ["stop"]):
        result = as_user(STRANGER, [BUILD / "src/cli/letterlock", *command], env=environment)
        assert result.returncode == 1 and not result.stdout
        assert "only root, and who started the gateway, may ask it" in result.stderr
    assert house.gateway.process.poll() is None


@needs_root
def test_a_foreign_user_is_refused_even_where_the_socket_lies_open(house):
    path = house.gateway.state / "run/control.sock"
    path.chmod(0o666)
    try:
        environment = {"LETTERLOCK_STATE": str(house.gateway.state), "PATH": os.environ["PATH"]}
        result = as_user(STRANGER, [BUILD / "src/cli/letterlock", "status"], env=environment)
    finally:
        path.chmod(0o600)
    assert result.returncode == 1 and not result.stdout and result.stderr
    assert "somebody without the right to asked at the control socket" in house.gateway.log()
    house.gateway.command("status", check=True)


@needs_root
def test_a_foreign_user_reads_nothing_of_the_state(house):
    assert as_user(STRANGER, ["find", house.gateway.state, "-type", "f", "-readable"]).stdout == ""
    for role in ("receive", "deliver", "control"):
        uid = int(next(status["Uid"].split()[0] for name, status in house.statuses() if name == role))
        assert as_user(uid, ["find", house.gateway.state / "keeper", "-type", "f", "-readable"]).stdout == ""


# ---- the start ----

def test_the_check_of_a_policy_starts_and_makes_nothing(house, tmp_path):
    policy = tmp_path / "letterlock.conf"
    text = house.gateway.policy_file.read_text().replace(str(house.gateway.state), str(tmp_path / "state"))
    policy.write_text(text)
    result = subprocess.run([BUILD / "src/daemon/letterlockd", "-n", "-c", policy], capture_output=True, text=True)
    assert result.returncode == 0 and "can be used" in result.stderr
    policy.write_text(text + "\nsned everything\n")
    result = subprocess.run([BUILD / "src/daemon/letterlockd", "-n", "-c", policy], capture_output=True, text=True)
    assert result.returncode == 1 and re.search(r"letterlock\.conf:\d+:1: error: .*`sned`", result.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["letterlock.conf"]


class Broken:
    """A gateway that has worked, is stopped, and is then started with something wrong."""

    def __init__(self, internet):
        self.internet = internet
        internet.inside()
        self.gateway = internet.start(RULES)
        internet.send("a@else.example", "nurse@clinic.example", door="smtp")
        assert self.gateway.stop() == 0
        self.policy = self.gateway.policy_file.read_text()
        self.pristine = internet.folder / "pristine"
        subprocess.run(["cp", "-a", self.gateway.state, self.pristine], check=True)

    def restore(self):
        shutil.rmtree(self.gateway.state, ignore_errors=True)
        self.gateway.state.unlink(missing_ok=True)
        subprocess.run(["cp", "-a", self.pristine, self.gateway.state], check=True)
        self.gateway.policy_file.write_text(self.policy)

    def start(self, policy=None, seconds=20):
        """(exit status, what was said) of a start that has to fail."""
        if policy:
            self.gateway.policy_file.write_text(policy)
        log = self.internet.folder / "refused.log"
        with open(log, "wb") as file:
            process = subprocess.Popen([BUILD / "src/daemon/letterlockd", "-c", self.gateway.policy_file],
                                       stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                       env=self.gateway.environment, start_new_session=True)
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise AssertionError(f"it runs:\n{log.read_text()[-3000:]}") from None
        return status, log.read_text()


@pytest.fixture(scope="module")
def broken(folder, authority):
    path = folder / "broken"
    path.mkdir(mode=0o755)
    internet = Internet(path, authority)
    yield Broken(internet)
    internet.stop()


def flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    with open(path, "r+b") as file:
        file.write(data)


def in_store(broken, statement):
    path = next(path for path in (broken.gateway.state / "store").iterdir() if path.suffix == ".sqlite")
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()


def wrong_key(broken):
    other = broken.internet.authority.issue("other.example")[1]
    key = broken.internet.authority.issue("mx.clinic.example")[1]
    return broken.policy.replace(f'key "{key}"', f'key "{other}"')


def other_master(broken):
    path = Gateway.make_master_key(broken.internet.folder / "other.key")
    return broken.policy.replace(str(broken.internet.folder / "master.key"), str(path))


def short_master(broken):
    path = broken.internet.folder / "short.key"
    path.write_text("abcdef\n")
    path.chmod(0o600)
    return broken.policy.replace(str(broken.internet.folder / "master.key"), str(path))


def file_as_state(broken):
    shutil.rmtree(broken.gateway.state)
    broken.gateway.state.write_text("no folder")


def garbage_store(broken):
    for path in (broken.gateway.state / "store").iterdir():
        if path.suffix == ".sqlite":
            path.write_bytes(b"no database at all. " * 500)


REFUSED = {
    "a private key that is not the certificate's": (wrong_key, "is not that of the certificate"),
    "no private key": (lambda b: re.sub(r' key "[^"]*"', ' key "/nowhere/key.pem"', b.policy), "cannot be opened"),
    "no certificate": (lambda b: re.sub(r'certificate "[^"]*" key', 'certificate "/nowhere/c.pem" key', b.policy),
                       "/nowhere/c.pem"),
    "no master key": (lambda b: b.policy.replace("master.key", "nowhere.key"), "nowhere.key cannot be opened"),
    "a master key that is too short": (short_master, "letterlock key new"),
    "another master key": (other_master, "does not open under this master key"),
    "a keeper's file with one bit changed": (lambda b: flip(b.gateway.state / "keeper/keys", -9),
                                             "does not open under this master key, or it was changed"),
    "a keeper's file that is gone": (lambda b: (b.gateway.state / "keeper/keys").unlink(), "keeper/keys"),
    "a keeper's file of another version": (lambda b: flip(b.gateway.state / "keeper/keys", 11), "version"),
    "a store of another schema": (lambda b: in_store(b, "PRAGMA user_version = 2"),
                                  "schema version 2, this program knows version 1"),
    "a store of another program": (lambda b: in_store(b, "PRAGMA application_id = 7"), "not a Letterlock store"),
    "a store that is no database": (garbage_store, "database"),
    "a file where the state directory should be": (file_as_state, "is no folder"),
    "a state directory below a file": (lambda b: b.policy.replace(str(b.gateway.state), "/dev/null/state"),
                                       "cannot be made"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_start_is_refused_with_a_reason_for(broken, name):
    spoil, words = REFUSED[name]
    broken.restore()
    policy = spoil(broken)
    status, said = broken.start(policy if isinstance(policy, str) else None)
    assert status == 1, said
    assert words in said, said
    assert 'role=receive fact=ready' not in said or "store" in name, "nobody was served meanwhile"


def test_after_all_refusals_the_same_state_starts_and_its_journal_holds(broken):
    broken.restore()
    broken.gateway.start()
    broken.gateway.command("audit", "verify", check=True)
    assert broken.gateway.stop() == 0


def test_a_port_that_is_taken_is_named(broken):
    broken.restore()
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", broken.internet.ports["submission"]))
        squatter.listen(1)
        status, said = broken.start()
    assert status == 1
    assert f"port {broken.internet.ports['submission']} cannot be listened on" in said


@needs_root
def test_a_state_directory_that_the_roles_cannot_reach_is_named_with_the_user(broken):
    closed = broken.internet.folder / "closed"
    closed.mkdir(mode=0o700, exist_ok=True)
    status, said = broken.start(broken.policy.replace(str(broken.gateway.state), str(closed / "state")))
    assert status == 1
    assert re.search(r"the role \w+, as user \d+, cannot reach .*closed/state/\w+: a folder above it is closed", said)


def test_a_second_gateway_over_the_same_state_is_refused(broken):
    broken.restore()
    broken.gateway.start()
    policy = broken.policy
    for name in ("smtp", "submission", "submissions", "relay"):
        policy = policy.replace(f"port {broken.internet.ports[name]} on", f"port {free_port()} on")
    second = broken.internet.folder / "second.conf"
    second.write_text(policy)
    result = subprocess.run([BUILD / "src/daemon/letterlockd", "-c", second], capture_output=True, text=True,
                            stdin=subprocess.DEVNULL, timeout=30)
    assert result.returncode == 1 and "another gateway runs over" in result.stderr
    broken.gateway.command("status", check=True)
    assert broken.gateway.stop() == 0


def test_roles_whose_supervisor_was_killed_end_by_themselves_and_the_gateway_starts_again(broken):
    broken.restore()
    broken.gateway.start()
    roles = list(broken.gateway.roles().values())
    os.kill(broken.gateway.process.pid, signal.SIGKILL)
    broken.gateway.process.wait()
    wait_until(lambda: not any(is_running(pid) for pid in roles), "all roles have ended", 40)
    broken.gateway.start()
    broken.gateway.command("audit", "verify", check=True)
    assert broken.gateway.stop() == 0


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_stop_ends_all_roles_in_order_and_with_success(broken):
    broken.restore()
    broken.gateway.start()
    roles = list(broken.gateway.roles().values())
    begun = len(broken.gateway.log())
    assert broken.gateway.command("stop").returncode == 0
    assert broken.gateway.process.wait(20) == 0
    assert not any(is_running(pid) for pid in roles)
    said = broken.gateway.log()[begun:]
    assert "the gateway has ended" in said and "did not end" not in said and "is killed" not in said


@needs_root
def test_another_user_than_root_can_run_it_and_the_log_says_what_that_means(folder, authority):
    path = folder / "nobody"
    path.mkdir(mode=0o755)
    internet = Internet(path, authority)
    inside = internet.inside()
    certificate, key = authority.issue("mx.clinic.example")
    for source in (certificate, key, Gateway.make_master_key(path / "master.key")):
        if source.parent != path:
            shutil.copy(source, path / source.name)
        os.chown(path / source.name, NOBODY, NOBODY)
    os.chown(path, NOBODY, NOBODY)
    template = POLICY.replace('certificate "{certificate}" key "{key}"',
                              f'certificate "{path}/{certificate.name}" key "{path}/{key.name}"')
    try:
        gateway = internet.start(RULES, template=template, prefix=(
            "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"))
        assert "all roles run as this user" in gateway.log()
        internet.send("a@else.example", "nurse@clinic.example", door="smtp")
        inside.wait_for(1)
        for role, pid in gateway.roles().items():
            status = Path(f"/proc/{pid}/status").read_text()
            assert f"Uid:\t{NOBODY}\t{NOBODY}" in status and "Seccomp:\t2" in status and "NoNewPrivs:\t1" in status
        environment = {"LETTERLOCK_STATE": str(gateway.state), "PATH": os.environ["PATH"]}
        assert as_user(NOBODY, [BUILD / "src/cli/letterlock", "status"], env=environment).returncode == 0
        assert gateway.command("status").returncode == 0, "root may ask as well"
        assert as_user(STRANGER, [BUILD / "src/cli/letterlock", "status"], env=environment).returncode == 1
        for found in gateway.state.rglob("*"):
            assert found.lstat().st_uid == NOBODY and (found.lstat().st_mode & 0o007 == 0
                                                       or found.name == "checkpoint.pub"), found
        assert gateway.stop() == 0
    finally:
        internet.stop()


@pytest.mark.parametrize("arguments", [(), ("-c",), ("-x",), ("-c", "/nowhere/letterlock.conf"), ("--role", "receive"),
                                       ("--role", "nobody"), ("-c", "a", "b")],
                         ids=lambda words: " ".join(words) or "none")
def test_arguments_that_make_no_sense_end_at_once(arguments):
    result = subprocess.run([BUILD / "src/daemon/letterlockd", *arguments], capture_output=True, text=True,
                            stdin=subprocess.DEVNULL, timeout=10)
    assert result.returncode == 1 and result.stderr

# SPDX-License-Identifier: ISC
"""The master key made, rotated and lost; the state put back from a backup; a journal whose end was cut off."""

import os
import re
import shutil
import sqlite3
import stat
import subprocess

import pytest

from conftest import BUILD, POLICY, wait_until
from lab.gateway import Gateway
from loading import figures

RULES = 'hold "review" when subject has "[review]"\nsend "all" by { tls verify for 1 day, return }'
NOT_THIS_KEY = "does not open under this master key"


@pytest.fixture
def clinic(internet):
    internet.partner = internet.mx("partner.example", "127.0.1.1")
    internet.start(RULES)
    return internet


def send(internet, subject="x"):
    return internet.send("nurse@clinic.example", "r@partner.example", text=f"Subject: {subject}\r\n\r\nhello\r\n".encode())


def queue_mail(internet):
    """One delivery that its rule holds, one whose host does not answer: (held, waiting)."""
    held = send(internet, "[review] y")
    internet.names.set("mx.partner.example", "A", "127.0.1.9")
    waiting = send(internet, "later")
    wait_until(lambda: re.search(r" [1-9]\d*  partner\.example", internet.gateway.command("queue").stdout), "it was tried")
    found = status(internet)
    assert found["held"] == found["waiting"] == 1
    return held, waiting


def status(internet):
    return figures(internet.gateway.command("status", check=True).stdout)


def refused_start(internet, seconds=20):
    """What a start says that has to fail."""
    result = subprocess.run([BUILD / "src/daemon/letterlockd", "-c", internet.gateway.policy_file], text=True,
                            capture_output=True, stdin=subprocess.DEVNULL, timeout=seconds,
                            env=internet.gateway.environment)
    assert result.returncode == 1, result.stderr
    return result.stderr


def rotate(internet, new, **options):
    return internet.gateway.command("key", "rotate", internet.gateway.policy_file, "--new-master", new, **options)


def name_master(internet, path, old="master.key"):
    policy = internet.gateway.policy_file
    policy.write_text(policy.read_text().replace(str(internet.folder / old), str(path)))


# ---- making and rotating ----

def test_a_new_master_key_is_for_its_owner_alone_and_never_written_over_another(internet):
    program, path = BUILD / "src/cli/letterlock", internet.folder / "new.key"
    result = subprocess.run([program, "key", "new", path], capture_output=True, text=True)
    assert result.returncode == 0 and "Keep a copy elsewhere" in result.stdout
    text = path.read_text()
    assert re.fullmatch(r"[0-9a-f]{64}\n", text) and stat.S_IMODE(path.stat().st_mode) == 0o600
    result = subprocess.run([program, "key", "new", path], capture_output=True, text=True)
    assert result.returncode == 1 and "is there already" in result.stderr and path.read_text() == text
    other = internet.folder / "other.key"
    subprocess.run([program, "key", "new", other], check=True, capture_output=True)
    assert other.read_text() != text
    result = subprocess.run([program, "key", "new", internet.folder / "no/folder/key"], capture_output=True, text=True)
    assert result.returncode == 1 and "cannot be made" in result.stderr


def test_after_a_rotation_the_old_master_key_opens_nothing_and_queued_mail_leaves(clinic):
    held, waiting = queue_mail(clinic)
    keys, new = clinic.gateway.state / "keeper/keys", clinic.folder / "new.key"
    clinic.gateway.command("key", "new", new, check=True)
    before, owner = keys.read_bytes(), (keys.stat().st_uid, keys.stat().st_mode)

    result = rotate(clinic, new)
    assert result.returncode == 1 and "stop it first" in result.stderr and keys.read_bytes() == before
    clinic.gateway.command("audit", "verify", check=True)
    assert clinic.gateway.stop() == 0
    clinic.gateway.command("audit", "verify", check=True)
    before = keys.read_bytes()

    bad = clinic.folder / "bad.key"
    bad.write_text("0123\n")
    bad.chmod(0o600)
    for path, words in ((bad, "letterlock key new"), (clinic.folder / "nowhere.key", "cannot be opened")):
        result = rotate(clinic, path)
        assert result.returncode == 1 and words in result.stderr and keys.read_bytes() == before

    assert f'master key file "{new}"' in rotate(clinic, new, check=True).stdout
    assert keys.read_bytes() != before
    assert (keys.stat().st_uid, keys.stat().st_mode) == owner
    assert NOT_THIS_KEY in refused_start(clinic)
    assert NOT_THIS_KEY in rotate(clinic, clinic.folder / "new.key").stderr, "the policy still names the old one"

    name_master(clinic, new)
    clinic.names.set("mx.partner.example", "A", "127.0.1.1")
    clinic.gateway.start()
    clinic.gateway.command("audit", "verify", check=True)
    assert "r@partner.example" in clinic.trace(held)
    clinic.gateway.command("queue", "release", held, check=True)
    clinic.partner.wait_for(2)
    wait_until(lambda: status(clinic)["waiting"] == 0, "nothing waits")
    assert {m.data.split(b"Subject: ")[1].split(b"\r\n")[0] for m in clinic.partner.messages} == {b"[review] y", b"later"}
    send(clinic, "after")
    clinic.partner.wait_for(3)
    clinic.gateway.command("audit", "verify", check=True)
    assert status(clinic)["held"] == 0 and waiting != held


def test_a_master_key_that_is_lost_is_said_and_destroys_nothing(clinic):
    held, _ = queue_mail(clinic)
    assert clinic.gateway.stop() == 0
    keys = (clinic.gateway.state / "keeper/keys").read_bytes()
    right = clinic.folder / "master.key"
    text = right.read_text()
    right.write_text(os.urandom(32).hex() + "\n")
    for _ in range(2):
        assert NOT_THIS_KEY in refused_start(clinic)
    assert (clinic.gateway.state / "keeper/keys").read_bytes() == keys
    right.write_text(text)
    clinic.gateway.start()
    assert "r@partner.example" in clinic.trace(held)


def start_with_passphrase(internet, passphrase):
    """The daemon, with a line on its standard input."""
    log = open(internet.gateway.log_file, "ab")
    process = subprocess.Popen([BUILD / "src/daemon/letterlockd", "-c", internet.gateway.policy_file],
                               stdin=subprocess.PIPE, stdout=log, stderr=log, env=internet.gateway.environment,
                               start_new_session=True)
    log.close()
    process.stdin.write(passphrase)
    process.stdin.close()
    return process


def test_a_passphrase_opens_the_state_and_can_be_rotated_away(internet):
    internet.partner = internet.mx("partner.example", "127.0.1.1")
    template = POLICY.replace('master key file "{master}"', "master key passphrase")
    policy = internet.policy(RULES, template)
    internet.gateway = gateway = Gateway(BUILD, internet.folder, policy, [], {})
    gateway.process = start_with_passphrase(internet, b"six random words take long to guess\n")
    wait_until(lambda: gateway.command("status").returncode == 0, "the gateway is up")
    held = send(internet, "[review] z")
    assert gateway.stop() == 0

    for wrong in (b"six random words take long to gues\n", b"\n", b""):
        process = start_with_passphrase(internet, wrong)
        assert process.wait(30) == 1
    assert NOT_THIS_KEY in gateway.log() and "no passphrase was given" in gateway.log()

    new = internet.folder / "new.key"
    gateway.command("key", "new", new, check=True)
    result = rotate(internet, new, input="another passphrase\n")
    assert result.returncode == 1 and NOT_THIS_KEY in result.stderr
    rotate(internet, new, input="six random words take long to guess\n", check=True)
    gateway.policy_file.write_text(gateway.policy_file.read_text().replace("master key passphrase",
                                                                          f'master key file "{new}"'))
    gateway.start()
    gateway.command("queue", "release", held, check=True)
    internet.partner.wait_for(1)


def test_a_credential_of_the_service_manager_is_the_master_key(internet):
    internet.partner = internet.mx("partner.example", "127.0.1.1")
    credentials = internet.folder / "credentials"
    credentials.mkdir(mode=0o700)
    (credentials / "letterlock").write_bytes(os.urandom(32))
    (credentials / "letterlock").chmod(0o400)
    template = POLICY.replace('master key file "{master}"', 'master key credential "letterlock"')
    internet.start(RULES, template=template, environment={"CREDENTIALS_DIRECTORY": str(credentials)})
    send(internet)
    internet.partner.wait_for(1)
    assert internet.gateway.stop() == 0
    del internet.gateway.environment["CREDENTIALS_DIRECTORY"]
    assert "CREDENTIALS_DIRECTORY is not set" in refused_start(internet)


# ---- backups ----

def copy(source, target):
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", source, target], check=True)


def age(internet):
    """Mail, a copy of the state, and more mail that is signed: the copy."""
    backup = internet.folder / "backup"
    for _ in range(3):
        send(internet)
    held = send(internet, "[review] kept")
    internet.partner.wait_for(3)
    wait_until(lambda: status(internet)["waiting"] == 0, "nothing waits")
    internet.gateway.command("audit", "checkpoint", check=True)
    assert internet.gateway.stop() == 0
    copy(internet.gateway.state, backup)
    internet.gateway.start()
    for _ in range(5):
        send(internet)
    internet.partner.wait_for(8)
    wait_until(lambda: status(internet)["waiting"] == 0, "nothing waits")
    internet.gateway.command("audit", "checkpoint", check=True)
    assert internet.gateway.stop() == 0
    return backup, held


def epochs(internet):
    database = sqlite3.connect(f"file:{internet.gateway.state}/store/store.sqlite?mode=ro", uri=True)
    found = database.execute("SELECT count(*) FROM event WHERE kind = 4").fetchone()[0]
    database.close()
    return found


def lives_on(internet, held):
    """Mail flows, what was held can be released, and the journal holds."""
    count = len(internet.partner.messages)
    send(internet, "news")
    internet.gateway.command("queue", "release", held, check=True)
    internet.partner.wait_for(count + 2)
    internet.gateway.command("audit", "checkpoint", check=True)
    internet.gateway.command("audit", "verify", check=True)


def test_an_older_store_starts_names_the_gap_and_begins_a_new_epoch(clinic):
    backup, held = age(clinic)
    copy(backup / "store", clinic.gateway.state / "store")
    begun = len(clinic.gateway.log())
    clinic.gateway.start()
    said = wait_until(lambda: re.search(r'fact="the journal is not the one that was signed: a new epoch begins" '
                                        r'gap="?([^\n]*)', clinic.gateway.log()[begun:]), "the gap is named")
    assert re.search(r"\d+", said.group(1)), said.group(0)
    wait_until(lambda: epochs(clinic) == 1, "the journal tells of the new epoch")
    lives_on(clinic, held)
    assert re.search(r"epoch +1\b", clinic.gateway.command("audit", "checkpoint", check=True).stdout)
    # Once is enough: the next start finds what was signed.
    assert clinic.gateway.stop() == 0
    clinic.gateway.start()
    clinic.gateway.command("audit", "verify", check=True)
    assert epochs(clinic) == 1


def test_an_older_state_with_its_own_keys_goes_on_from_there(clinic):
    backup, held = age(clinic)
    copy(backup, clinic.gateway.state)
    clinic.gateway.start()
    lives_on(clinic, held)
    assert epochs(clinic) == 0


def test_an_older_keeper_s_file_opens_a_newer_store_of_the_same_day(clinic):
    backup, held = age(clinic)
    copy(backup / "keeper", clinic.gateway.state / "keeper")
    clinic.gateway.start()
    lives_on(clinic, held)


def test_an_older_copy_verifies_elsewhere_by_the_public_key_alone(clinic):
    backup, _ = age(clinic)
    key = clinic.folder / "checkpoint.pub"
    shutil.copy(clinic.gateway.state / "store/checkpoint.pub", key)
    shutil.rmtree(backup / "keeper")
    program = BUILD / "src/cli/letterlock"
    result = subprocess.run([program, "--state", backup, "audit", "verify", "--key", key], capture_output=True, text=True)
    assert result.returncode == 0 and "The journal holds" in result.stdout
    assert "would not show" in result.stdout, "what this cannot show is said"
    key.write_text("0" * 64 + "\n")
    result = subprocess.run([program, "--state", backup, "audit", "verify", "--key", key], capture_output=True, text=True)
    assert result.returncode == 1 and "does not hold" in result.stderr


def test_the_keepers_last_checkpoint_counts_beside_a_named_key_too(clinic):
    age(clinic)
    key = clinic.folder / "checkpoint.pub"
    shutil.copy(clinic.gateway.state / "store/checkpoint.pub", key)
    clinic.gateway.start()
    result = clinic.gateway.command("audit", "verify", "--key", str(key))
    assert result.returncode == 0 and "The journal holds" in result.stdout
    assert "Note" not in result.stdout, "the keeper runs, so its last checkpoint was compared"
    key.write_text("0" * 64 + "\n")
    result = clinic.gateway.command("audit", "verify", "--key", str(key))
    assert result.returncode == 1 and "names another key" in result.stderr


@pytest.mark.parametrize("rows", [1, 7])
def test_a_journal_whose_end_was_cut_off_is_named(clinic, rows):
    age(clinic)
    database = sqlite3.connect(clinic.gateway.state / "store/store.sqlite")
    size = database.execute("SELECT max(sequence) + 1 FROM event").fetchone()[0]
    database.execute("DELETE FROM event WHERE sequence >= ?", (size - rows,))
    database.commit()
    database.close()
    result = clinic.gateway.command("audit", "verify")
    assert result.returncode == 1, result.stdout
    assert re.search(rf"Bad event +{size - rows}\b", result.stdout) and "does not hold" in result.stderr
    clinic.gateway.start()
    result = clinic.gateway.command("audit", "verify")
    assert result.returncode == 1 and "does not hold" in result.stderr, "a start heals nothing"

# SPDX-License-Identifier: ISC
"""The documents are true: their examples load, their commands exist, their tables are what the programs print."""

import re
import shutil
import sqlite3
import subprocess
import sys

import pytest

from conftest import BUILD, HOUSE, wait_until
from loading import figures

DOCUMENTS = [HOUSE / "README.md", HOUSE / "CONTRIBUTING.md", *sorted((HOUSE / "docs").glob("*.md"))]
PAGES = sorted((HOUSE / "docs/man").glob("*.[0-9]"))
LETTERLOCK = BUILD / "src/cli/letterlock"
DAEMON = BUILD / "src/daemon/letterlockd"

FENCE = re.compile(r"^```([\w-]*)\n(.*?)^```$", re.M | re.S)
EXAMPLES = [pytest.param(kind, text, id=f"{path.name}:{path.read_text()[:match.start()].count(chr(10)) + 1}")
            for path in DOCUMENTS for match in FENCE.finditer(path.read_text()) for kind, text in [match.groups()]]
POLICIES = [example for example in EXAMPLES if example.values[0].startswith("policy")]
EXAMPLE_OF_PAGE = re.compile(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed$", re.M | re.S)

# What a part stands in: settings, and what it does not say itself.
FRAME = """\
hostname "mx.frame.example"
state "/var/lib/letterlock"
certificate "chain.pem" key "key.pem"
master key credential "letterlock"
listen smtp port 25
"""


@pytest.fixture(scope="module")
def desk(folder, authority):
    """A folder with the files that examples name."""
    path = folder / "documents"
    path.mkdir()
    certificate, key = authority.issue("mx.frame.example")
    shutil.copy(certificate, path / "chain.pem")
    shutil.copy(key, path / "key.pem")
    (path / "master.key").write_text("0" * 64 + "\n")
    (path / "master.key").chmod(0o600)
    return path


def check(desk, text):
    """`letterlock check` of this policy, with the files that it names put beside it."""
    text = text.replace('"/etc/letterlock/', '"')
    for name in re.findall(r'\bfrom "([^"@:]+\.(?:txt|list|csv))"', text):
        (desk / name).parent.mkdir(parents=True, exist_ok=True)
        (desk / name).write_text("partner.example\n")
    policy = desk / "letterlock.conf"
    policy.write_text(text)
    return subprocess.run([LETTERLOCK, "check", policy], capture_output=True, text=True)


def completed(part):
    """A part within a frame: what it uses and does not say is said around it."""
    defined = set(re.findall(r"^\s*(?:list|ladder) ([a-z][a-z0-9-]*)", part, re.M))
    text = FRAME + part
    for name in set(re.findall(r"\bby ([a-z][a-z0-9-]*)\b", part)) - defined:
        text += f"ladder {name} {{ tls verify for 4 hours, hold }}\n"
    for name in set(re.findall(r"\b(?:from|to) ([a-z][a-z0-9-]*)\b", part)) - defined - {"lmtp"}:
        text += f'list {name} {{ "listed.example" }}\n'
    if not re.search(r"^domains", part, re.M):
        text += 'domains "frame.example"\n'
    if not re.search(r"^send +\"[^\"]*\" +by", part, re.M):
        text += 'send "the rest of the frame" by { tls encrypt, return }\n'
    return text


# ---- examples ----

@pytest.mark.parametrize("kind, text", POLICIES)
def test_each_policy_in_the_documents_loads(desk, kind, text):
    result = check(desk, text if kind == "policy" else completed(text))
    assert result.returncode == 0, f"{result.stderr}\n{text}"
    assert "error" not in result.stderr
    daemon = subprocess.run([DAEMON, "-n", "-c", desk / "letterlock.conf"], capture_output=True, text=True)
    assert daemon.returncode == 0 and "can be used" in daemon.stderr


@pytest.mark.parametrize("kind, text", POLICIES)
def test_what_check_prints_of_an_example_means_the_same_again(desk, kind, text):
    printed = check(desk, text if kind == "policy" else completed(text)).stdout
    again = check(desk, printed)
    assert again.returncode == 0, again.stderr
    assert again.stdout == printed


def test_the_policy_of_the_manual_page_loads(desk):
    text = EXAMPLE_OF_PAGE.search((HOUSE / "docs/man/letterlock.conf.5").read_text()).group(1)
    result = check(desk, text)
    assert result.returncode == 0, result.stderr


def test_every_kind_of_example_is_looked_at():
    assert {example.values[0] for example in EXAMPLES} <= {"policy", "policy-part", "python", ""}
    assert len(POLICIES) >= 8


def test_the_python_of_the_journal_s_page_verifies_a_store_without_our_program(internet, desk):
    script = desk / "verify.py"
    script.write_text(next(e.values[1] for e in EXAMPLES if e.values[0] == "python"))
    partner = internet.mx("partner.example", "127.0.1.1")
    internet.start('send "all" by { tls verify, return }')
    for _ in range(7):
        internet.send("nurse@clinic.example", "r@partner.example")
    partner.wait_for(7)
    wait_until(lambda: figures(internet.gateway.command("status").stdout).get("waiting") == 0, "nothing waits")
    internet.gateway.command("audit", "checkpoint", check=True)
    assert internet.gateway.stop() == 0
    result = subprocess.run([sys.executable, script, internet.gateway.state / "store"], capture_output=True, text=True)
    assert result.returncode == 0 and "rows fit the newest checkpoint" in result.stdout, result.stderr


    database = sqlite3.connect(internet.gateway.state / "store/store.sqlite")
    database.execute("UPDATE event SET at = at + 1 WHERE sequence = 9")
    database.commit()
    database.close()
    result = subprocess.run([sys.executable, script, internet.gateway.state / "store"], capture_output=True, text=True)
    assert result.returncode == 1 and "row 9 is bad or missing" in result.stderr


# ---- commands ----

def help_of_letterlock():
    return subprocess.run([LETTERLOCK, "--help"], capture_output=True, text=True, check=True).stdout


def commands():
    """("key", "rotate"), … as --help lists them."""
    lines = re.findall(r"^  (\w+)(?: ([a-z]+))?(?: [^a-z\n].*| *)$", help_of_letterlock(), re.M)
    return {tuple(filter(None, words)) for words in lines}


def exists(words):
    """Is it a command, with or without arguments, or the first word of several?"""
    known = commands()
    return (tuple(words[:2]) in known or tuple(words[:1]) in known
            or len(words) == 1 and any(command[0] == words[0] for command in known))


def test_the_commands_are_known():
    assert {("check",), ("decide",), ("key", "rotate"), ("audit", "verify"), ("trace",)} <= commands()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_each_command_that_a_document_names_exists(path):
    for text in re.findall(r"(?:^ {4}|`)letterlock ([a-z][^`\n]*)", path.read_text(), re.M):
        if not re.search(r" v\d+$", text):  # a label of what is signed, not a command
            assert exists(text.split()), f"letterlock {text}"
    for options in re.findall(r"(?:^ {4}|`)letterlockd ([^`\n]+)", path.read_text(), re.M):
        for option in re.findall(r"-\w", options):
            assert f"  {option} " in subprocess.run([DAEMON, "-h"], capture_output=True, text=True).stdout


def test_the_manual_page_has_each_command_and_no_others():
    page = (HOUSE / "docs/man/letterlock.1").read_text()
    named = {tuple(match.split()) for match in re.findall(r"^\.It Cm ([a-z]+(?: [a-z]+)?)", page, re.M)}
    missing = commands() - named
    assert not missing, f"letterlock(1) does not tell of {sorted(missing)}"
    assert {words for words in named if not exists(words)} == set()


def test_the_daemon_s_page_has_each_option_and_no_others():
    said = subprocess.run([DAEMON, "-h"], capture_output=True, text=True, check=True).stdout
    options = set(re.findall(r"^  -(\w)\b", said, re.M)) | {"h"}
    page = (HOUSE / "docs/man/letterlockd.8").read_text()
    assert set(re.findall(r"^\.It Fl (\w)\b", page, re.M)) == options


def test_a_command_that_does_not_exist_is_said_with_the_list_of_those_that_do():
    result = subprocess.run([LETTERLOCK, "frobnicate"], capture_output=True, text=True)
    assert result.returncode == 1 and 'there is no command "frobnicate"' in result.stderr and "audit verify" in result.stderr
    result = subprocess.run([LETTERLOCK, "--frobnicate"], capture_output=True, text=True)
    assert result.returncode == 1 and "there is no option" in result.stderr
    result = subprocess.run([LETTERLOCK], capture_output=True, text=True)
    assert result.returncode == 1 and "usage: letterlock" in result.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_each_target_of_make_that_a_document_names_exists(path):
    targets = set(re.findall(r"^([a-z-]+):", (HOUSE / "Makefile").read_text(), re.M))
    for target in re.findall(r"(?:^|`)make ([a-z-]+)(?=`|$)", path.read_text(), re.M):
        assert target in targets, f"make {target}"


# ---- tables ----

def rows(text, after):
    """The cells of the first table behind this line."""
    table = re.search(r"(?:^\|.*\n)+", text[text.index(after):], re.M).group(0).splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_the_catalogue_of_the_journal_s_page_is_what_the_program_prints():
    printed = subprocess.run([LETTERLOCK, "journal", "catalogue"], capture_output=True, text=True, check=True).stdout
    assert printed.count("\n") > 40
    page = (HOUSE / "docs/journal.md").read_text()
    assert page[page.index("## The catalogue\n") + len("## The catalogue\n"):].strip() == printed.strip()


def test_the_closed_list_of_edits_is_that_of_the_header_file():
    told = [row[0] for row in rows((HOUSE / "docs/architecture.md").read_text(), "## The closed list of header edits")]
    header = (HOUSE / "src/message/include/message/edits.h").read_text()
    listed = re.findall(r"^ \* (\d)\. (.*?)(?=^ \* \d\.|^ \*$)", header, re.M | re.S)
    edits = {name for _, text in listed for name in ("Received", "Date", "Message-ID", "Bcc", "empty line")
             if name in text.split(":")[0] or name in text}
    assert len(listed) == 4 and len(edits) == 5  # the second makes two
    assert len(told) == len(edits)
    for name in edits:
        assert sum(name in edit for edit in told) == 1, f"{name} in {told}"


def test_the_rooms_of_the_architecture_are_the_folders_and_see_what_they_build_with():
    table = rows((HOUSE / "docs/architecture.md").read_text(), "| floor | room |")
    told = {name: row[3] for row in table for name in re.findall(r"`(\w+)/`", row[1])}
    assert set(told) == {path.name for path in (HOUSE / "src").iterdir() if path.is_dir()}
    for room, sees in told.items():
        if "floors below" in sees or sees == "all":
            continue
        build = (HOUSE / "src" / room / "meson.build").read_text()
        library = re.search(rf"static_library\('{room}'.*?dependencies: \[([^\]]*)\]", build, re.S)
        rooms = {name for name in re.findall(r"\w+", library.group(1) if library else "") if name in told}
        assert rooms == set(re.findall(r"\w+", sees)), room


def test_what_the_page_of_keys_lets_the_keeper_say_it_says():
    source = "".join(path.read_text() for path in (HOUSE / "src/keys").glob("*.c"))
    source = re.sub(r'"\s*\n\s*"', "", source)
    for words in ("does not open under this master key, or it was changed", "another process has the keeper's file open",
                  "this program knows", "is the clock right?"):
        assert any(words in row[0] for row in rows((HOUSE / "docs/keys.md").read_text(), "| it says |")), words
        assert words in source, words


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_each_link_between_the_documents_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]*)(?:#[^)]*)?\)", path.read_text()):
        if target and "://" not in target:
            assert (path.parent / target).exists(), target
    for anchor in re.findall(r"\]\(#([^)]+)\)", path.read_text()):
        headings = {re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-")
                    for line in re.findall(r"^#+ (.*)$", path.read_text(), re.M)}
        assert anchor in headings, anchor


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_each_manual_page_is_clean_to_mandoc(path):
    if not shutil.which("mandoc"):
        pytest.skip("there is no mandoc")
    result = subprocess.run(["mandoc", "-T", "lint", path], capture_output=True, text=True)
    # Our own pages are installed nowhere yet when they are linted.
    lines = [line for line in (result.stdout + result.stderr).splitlines() if "referenced manual not found" not in line]
    assert not lines, "\n".join(lines)
    for name, section in re.findall(r"^\.Xr (\S+) (\d)", path.read_text(), re.M):
        assert (HOUSE / f"docs/man/{name}.{section}").exists()

"""`[before]`: what must pass on this computer before the old nodes are touched."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.cli.test_cli_refused_in_plan import Shop
from tests.cycles.project import Done

UNTOUCHED = "; nothing was destroyed or created"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Two nodes of an earlier run on a fake cloud that makes no others: a cycle that gets to
    destroy them ends with 3."""
    return Shop(tmp_path)


def folder_of(shop: Shop) -> Path:
    return max((shop.folder / ".spotdeploy" / "runs").iterdir())


def report_of(shop: Shop) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder_of(shop) / "report.json").read_bytes())
    return report


def verdict(done: Done) -> str:
    return next(line for line in done.out.splitlines() if line[:1].isupper() and ": " in line)


def before(shop: Shop, *commands: str, more: str = "") -> None:
    shop.configure(f"[before]\ncommands = [{', '.join(commands)}]\n{more}")


@pytest.mark.parametrize("command", ["cycle", "create"])
def test_a_test_that_fails_ends_the_run_with_1_and_touches_nothing(
    shop: Shop, command: str
) -> None:
    before(shop, '"echo first"', "'''echo wrong >&2; exit 7'''", '"touch third"')
    done = shop.run(command)
    assert done.code == 1, done
    assert verdict(done) == (
        f"TESTS FAILED: echo wrong >&2; exit 7 ended with exit code 7{UNTOUCHED}"
    )
    assert "    | first\n" in done.out
    assert "    | wrong\n" in done.out
    assert not (shop.folder / "third").exists()
    assert shop.old_nodes() == 2
    report = report_of(shop)
    assert (report["verdict"], report["exit_code"], report["receipts"]) == ("tests failed", 1, [])
    assert [(one.get("ok"), one.get("skipped", False)) for one in report["before"]] == [
        *((True, False), (True, False)),
        *((False, False), (None, True)),
    ]
    claims = [id_ for id_ in shop.cloud.billed() if not id_.startswith("m-")]
    assert len(claims) <= 1, claims


def test_it_is_told_in_every_report(shop: Shop) -> None:
    before(shop, '"echo a < b; exit 3"', '"never"')
    shop.run("cycle")
    folder = folder_of(shop)
    suites = {one.get("name"): one for one in ET.parse(folder / "junit.xml").getroot()}
    cases = {one.get("name"): one for one in suites["before"].iter("testcase")}
    assert set(cases) == {"syntax", "echo a < b; exit 3", "never"}
    assert cases["echo a < b; exit 3"].find("failure") is not None
    assert cases["never"].find("skipped") is not None
    assert suites["run"].get("failures") == "1"
    page = (folder / "report.html").read_text()
    assert "Tests failed" in page
    assert "echo a &lt; b; exit 3" in page
    assert (folder / "before-2.log").read_text().startswith("/bin/sh: ")
    assert "tests failed" in shop.run("history").out
    shown = shop.run("report").out
    assert "echo a < b; exit 3  failed" in shown
    assert "TESTS FAILED" in shown


def test_when_all_pass_the_cycle_goes_on(shop: Shop) -> None:
    before(shop, '"pwd"', '{ run = "true", timeout = "20s" }')
    done = shop.run("cycle")
    assert done.code == 3, done
    assert f"    | {shop.folder}\n" in done.out
    assert done.out.index("passed (") < done.out.index("Destroying...")
    assert shop.old_nodes() == 0


def test_nothing_runs_without_them_and_the_report_says_so(shop: Shop) -> None:
    before(shop, '"touch ran; false"')
    (shop.folder / "instance" / "bad.py").write_text("def (")
    done = shop.run("cycle", "--no-before")
    assert done.code == 3, done
    assert "not run: touch ran; false (--no-before)" in done.out
    assert not (shop.folder / "ran").exists()
    assert [(one["command"], one["words"]) for one in report_of(shop)["before"]] == [
        ("syntax", "--no-before"),
        ("touch ran; false", "--no-before"),
    ]


@pytest.mark.parametrize(
    ("command", "how"),
    [
        ('"no-such-program --x"', "no-such-program --x ended with exit code 127: no such command"),
        ('"./instance"', "./instance ended with exit code 126: it cannot be executed"),
        ("'kill -9 $$'", "kill -9 $$ was ended by signal 9"),
        ('{ run = "sleep 50", timeout = "300ms" }', "sleep 50 did not end within 0.3s"),
        ('"\\u0001"', "- ended with exit code 127: no such command"),
        ('"""\nfalse\n"""', "false ended with exit code 1"),
        ('"""false ||\nexit 4"""', "false || ... ended with exit code 4"),
    ],
)
def test_the_verdict_says_how_a_command_failed(shop: Shop, command: str, how: str) -> None:
    before(shop, command)
    done = shop.run("cycle")
    assert done.code == 1, done
    assert verdict(done) == f"TESTS FAILED: {how}{UNTOUCHED}"


TEN = 'give one such as "5m", or leave it out for 10m'


@pytest.mark.parametrize(
    ("table", "message", "cure"),
    [
        ('commands = [""]', "before.commands[0]: is empty", 'such as "pytest -q"'),
        ('commands = ["a", " \\n"]', "before.commands[1]: is empty", 'such as "pytest -q"'),
        ('commands = [{ run = "" }]', "before.commands[0].run: is empty", 'such as "pytest -q"'),
        ('commands = [{ when = "always" }]', "before.commands[0].run: missing", ""),
        ('commands = ["a\\u0000b"]', "before.commands[0]: holds a NUL", "remove it"),
        ('commands = [{ run = "a", timeout = "0s" }]', "before.commands[0].timeout: 0s is no", TEN),
        ('commands = [{ run = "a", timeout = 5 }]', "before.commands[0].timeout: should be", ""),
        (
            'commands = ["a", { run = "b", when = "sometimes" }]',
            "before.commands[1].when: 'sometimes' is not a choice",
            "one of: always, changed",
        ),
        (
            'commands = [{ run = "a", wen = "always" }]',
            "before.commands[0].wen: unknown key",
            "did you mean before.commands[0].when?",
        ),
        ('comands = ["a"]', "before.comands: unknown key", "did you mean before.commands?"),
        ('commands = "a"', "before.commands: should be a list, not text", ""),
        ("commands = [3]", "before.commands[0]: should be text or a table, not a whole", ""),
        ('syntax = "off"', "before.syntax: should be true or false, not text", ""),
    ],
)
def test_bad_input_is_refused_with_its_key(shop: Shop, table: str, message: str, cure: str) -> None:
    shop.configure(f"[before]\n{table}")
    done = shop.run("cycle")
    assert done.code == 2, done
    assert done.err.startswith(f"error: spotdeploy.toml: {message}")
    assert cure in done.err
    assert shop.old_nodes() == 2


def test_a_group_has_none_of_its_own(shop: Shop) -> None:
    shop.configure('[groups.head.before]\ncommands = ["true"]')
    done = shop.run("plan")
    assert done.code == 2, done
    assert "groups.head.before: unknown key" in done.err


def test_files_that_are_not_there_are_refused_before_anything_runs(shop: Shop) -> None:
    before(shop, '"touch ran"', more='files = ["test"]')
    assert shop.run("create", "--no-before").err.startswith("error: 2 nodes of shop exist")
    done = shop.run("cycle")
    assert done.code == 2, done
    assert f"before.files[0]: {shop.folder}/test does not exist" in done.err
    assert not (shop.folder / "ran").exists()
    assert shop.old_nodes() == 2


def runs(shop: Shop) -> int:
    """How often the command of the next test ran."""
    shop.run("cycle")
    ran = shop.folder / "ran"
    return len(ran.read_text()) if ran.exists() else 0


def test_a_command_that_asks_for_changes_runs_when_what_it_tests_changed(shop: Shop) -> None:
    tests = shop.folder / "tests"
    tests.mkdir()
    (tests / "test_a.py").write_text("a")
    command = '{ run = "printf x >> ran; test ! -e broken", when = "changed" }'
    before(shop, command, more='files = ["tests"]')
    assert [runs(shop), runs(shop)] == [1, 1]
    assert "nothing changed since" in shop.run("plan").out
    (tests / "test_a.py").write_text("b")
    assert [runs(shop), runs(shop)] == [2, 2]
    (shop.folder / "instance" / "more").write_text("1")
    (shop.folder / "broken").write_text("")
    assert [runs(shop), runs(shop)] == [3, 4]  # it did not pass with what is shipped now
    (shop.folder / "broken").unlink()
    assert [runs(shop), runs(shop)] == [5, 5]
    (shop.folder / "unshipped").write_text("")
    assert runs(shop) == 5


def test_what_a_command_changes_of_what_is_shipped_is_refused(shop: Shop) -> None:
    before(shop, '"echo built > instance/made"')
    done = shop.run("cycle")
    assert done.code == 2, done
    assert (
        "what is shipped changed while echo built > instance/made ran: payload/made is new"
        in done.err
    )
    assert shop.old_nodes() == 2
    assert shop.run("cycle").code == 3  # the second time it writes the same


@pytest.mark.parametrize("command", ["plan", "cycle", "create"])
def test_a_syntax_fault_is_told_with_its_line_before_anything_is_touched(
    shop: Shop, command: str
) -> None:
    shop.configure()
    bad = shop.folder / "instance" / "lib" / "app.py"
    bad.parent.mkdir()
    bad.write_text("x = 1\ny = (\n")
    done = shop.run(command)
    assert done.code == 1, done
    assert f"{bad}, line 2: '(' was never closed" in done.out + done.err
    assert ("TESTS FAILED: " in done.out) is (command != "plan")
    assert shop.old_nodes() == 2
    (shop.folder / ".spotdeployignore").write_text("lib/\n")
    assert shop.run("plan").code == 0


def test_it_can_be_turned_off_for_good(shop: Shop) -> None:
    shop.configure("[before]\nsyntax = false")
    (shop.folder / "instance" / "e.sh").write_text("fi\n")
    assert shop.run("cycle").code == 3
    assert shop.run("plan").code == 0
    assert report_of(shop)["before"] == []


def test_plan_says_what_will_run_and_runs_nothing(shop: Shop) -> None:
    before(shop, '"touch ran"', '{ run = "pytest -q", timeout = "90s" }')
    done = shop.run("plan")
    assert (
        "before anything is destroyed:\n  syntax\n  touch ran (at most 10m)\n"
        "  pytest -q (at most 1m30s)\n" in done.out
    )
    assert [
        (one["command"], one["timeout"]) for one in shop.run("plan", "--json").json()["before"]
    ] == [
        ("syntax", None),
        ("touch ran", 600.0),
        ("pytest -q", 90.0),
    ]
    assert not (shop.folder / "ran").exists()


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ("[matrix]\npy = [3, 4]", "matrix"),
        ("[groups.head]\n[groups.worker]\nafter = ['head']\ncount = 2", "groups"),
    ],
)
def test_they_run_once_however_many_cells_or_groups(shop: Shop, more: str, name: str) -> None:
    before(shop, '"printf x >> ran; test ! -e broken"', more=more)
    shop.run("cycle")
    assert (shop.folder / "ran").read_text() == "x"
    (shop.folder / "broken").write_text("")
    done = shop.run("cycle")
    assert done.code == 1, done
    assert (shop.folder / "ran").read_text() == "xx"
    assert done.out.count(UNTOUCHED) == 1
    report = report_of(shop)
    assert (report["verdict"], report["exit_code"]) == ("tests failed", 1)
    assert [one["ok"] for one in report["before"]] == [True, False]
    if name == "matrix":
        assert [c["report"]["verdict"] for c in report["cells"]] == ["tests failed"] * 2


@pytest.mark.parametrize("more", ["", "[matrix]\npy = [3, 4]"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_the_whole_process_group(shop: Shop, number: signal.Signals, more: str) -> None:
    (shop.folder / "deaf.sh").write_text("trap '' TERM\necho $$ > deaf\nsleep 300\n")
    line = "sleep 300 & echo $! > child; sh deaf.sh & echo $$ > parent; sleep 300"
    before(shop, f'"{line}"', more=more)
    process = subprocess.Popen(
        [sys.executable, "-m", "spotdeploy", "cycle"],
        cwd=shop.folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for(shop.folder / "deaf")
    assert all(map(alive, ("child", "parent", "deaf"), [shop.folder] * 3))
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130, out
    left = [name for name in ("child", "parent", "deaf") if alive(name, shop.folder)]
    assert left == [], out
    assert shop.old_nodes() == 2
    assert report_of(shop)["verdict"] == "stopped by the user"


def test_what_a_command_leaves_running_is_ended_and_not_waited_for(shop: Shop) -> None:
    before(shop, '"sleep 300 & echo $! > child"')
    began = time.monotonic()
    assert shop.run("cycle").code == 3
    assert time.monotonic() - began < 30
    assert not alive("child", shop.folder)


def alive(name: str, folder: Path) -> bool:
    """Whether the process whose id is in a file runs; one that is dead may wait to be reaped."""
    pid = (folder / name).read_text().strip()
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def wait_for(path: Path) -> None:
    until = time.monotonic() + 30
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < until, f"{path} never came"
        time.sleep(0.05)


def test_output_comes_while_the_command_runs(shop: Shop) -> None:
    before(shop, '"echo begun; until [ -e go ]; do sleep 0.05; done; echo done; false"')
    process = subprocess.Popen(
        [sys.executable, "-m", "spotdeploy", "cycle"],
        cwd=shop.folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line == "    | begun\n":
            (shop.folder / "go").write_text("")
    assert "    | done\n" in lines
    with process:
        assert process.wait() == 1


def test_secrets_escapes_and_floods_do_not_get_through(shop: Shop) -> None:
    key = "-----BEGIN PRIVATE KEY-----\\nMIIabcdefgh0123456789\\nMIIzzzzzzzz0123456789\\n"
    script = (
        "printf 'token hunter2-and-more\\n\\033[31mred\\033[0m\\n'; "
        f"printf -- '{key}'; sleep 0.2; printf -- '-----END PRIVATE KEY-----\\n'; "
        "printf '10%%\\r50%%\\r100%%\\n'; printf '\\377\\n'; "
        "head -c 9000000 /dev/zero | tr '\\000' x; exit 1"
    )
    (shop.folder / "noisy.sh").write_text(script)
    (shop.folder / "token").write_text("hunter2-and-more")
    before(shop, '"sh noisy.sh"', more='[payload.secrets]\nTOKEN = "file:token"')
    shop.configure('[payload.secrets]\nTOKEN = "file:token"\n[before]\ncommands = ["sh noisy.sh"]')
    done = shop.run("cycle")
    assert done.code == 1, done.out[-500:]
    kept = "".join(path.read_text() for path in folder_of(shop).iterdir() if path.is_file())
    for text in (done.out, kept):
        assert "hunter2" not in text
        assert "MIIabc" not in text
        assert "MIIzzz" not in text
        assert "\x1b" not in text
        assert "more than 8 MiB of output" in text
    assert "    | token [redacted]\n    | red\n" in done.out
    assert "    | 100%\n" in done.out
    assert len((folder_of(shop) / "before-2.log").read_bytes()) < 9_000_000


def test_repeated_cycles_end_with_the_first_whose_tests_failed(shop: Shop) -> None:
    before(shop, '"printf x >> ran; [ $(cat ran) != xx ]"')
    done = shop.run("cycle", "--repeat", "4")
    assert done.code == 3, done
    assert (shop.folder / "ran").read_text() == "xx"
    (path,) = (shop.folder / ".spotdeploy" / "runs").glob("repeat-*.json")
    assert f"repetition: {path}\n" in done.out
    together = json.loads(path.read_bytes())
    assert len(together["runs"]) == together["cycles"]["asked"] == 2
    ways = [one["message"].partition(":")[0] for one in together["cycles"]["failures"]]
    assert ways == ["infrastructure failed", "tests failed"]

"""What plan knows, `cycle` knows before it destroys: the old nodes still run after a refusal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spotdeploy import labels
from spotdeploy.model import Batch, Market, Offer
from spotdeploy.testing import FakeCloud
from spotdeploy.testing.fake import faults
from spotdeploy.testing.fake.store import FileStore
from tests.command import run
from tests.cycles.project import Done

CONFIG = """\
deployment = "shop"
{top}
[payload]
path = "instance"
entry = "e.sh"
{more}
"""
CHECK = '[[checks]]\ntype = "tcp"\nport = 81\nstable_for = "40s"\n'


class Shop:
    """A project in a folder, and a fake cloud that has two nodes of it from an earlier run and
    makes no others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "instance").mkdir()
        (folder / "instance" / "e.sh").write_text("true\n")
        (folder / ".spotdeploy").mkdir()
        self.cloud = FakeCloud(FileStore(folder / ".spotdeploy" / "fake-cloud.json"))
        marks = labels.for_batch("shop", "20260101-120000-abc123", "old", "d" * 40, 9e9)
        batch = Batch("old", 2, marks, b"", "spotdeploy", time_to_live=9e8)
        self.cloud.create(Offer("fake", "here", "a", "small", Market.SPOT), batch)
        self.cloud.script(faults.NoCapacity())

    def configure(self, more: str = "", top: str = 'providers = ["fake"]') -> None:
        text = CONFIG.format(top=top, more=more)
        (self.folder / "spotdeploy.toml").write_text(text)

    def run(self, *arguments: str) -> Done:
        done = run(self.folder, *arguments)
        return Done(done.returncode, done.stdout, done.stderr)

    def old_nodes(self) -> int:
        return len([id_ for id_ in self.cloud.billed() if id_.startswith("m-")])


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_a_cycle_that_is_not_refused_destroys_the_old_nodes(shop: Shop) -> None:
    shop.configure()
    done = shop.run("cycle")
    assert done.code == 3, done
    assert "InsufficientCapacity" in done.out
    assert shop.old_nodes() == 0


TTL = "nodes.time_to_live: "


@pytest.mark.parametrize("command", ["plan", "cycle"])
@pytest.mark.parametrize(
    ("more", "message", "cure"),
    [
        (
            '[nodes]\nallow_from = ["10.0.0.300/24"]',
            "nodes.allow_from[0]: '10.0.0.300/24' is not a network",
            "write it like",
        ),
        (
            '[nodes]\nallow_from = ["::/0", "10.0.0.1/8/8"]',
            "nodes.allow_from[1]: '10.0.0.1/8/8'",
            "",
        ),
        ('[nodes]\ntime_to_live = "0s"', f"{TTL}0s is shorter than any run", "at least 1m"),
        ('[nodes]\ntime_to_live = "59s"', f"{TTL}59s is shorter than any run", "at least 1m"),
        ('[nodes]\ntime_to_live = "-5m"', f"{TTL}'-5m' is not a duration", ""),
        (f'[nodes]\ntime_to_live = "99s"\n{CHECK}', f"{TTL}1m39s is shorter", "at least 1m40s"),
        (
            '[provider.fkae]\naccount = "x"',
            "provider.fkae: no provider",
            "did you mean provider.fake",
        ),
        ('[provider.asw]\naccount = "123456789012"', "provider.asw: no", "provider.aws?"),
        ('[provider.aws]\nacount = "123456789012"', "provider.aws.acount: unknown key", "account?"),
        ("[provider.gcp]\nroot_volume_gb = 9", "provider.gcp.root_volume_gb: should be at", ""),
        ("[provider.checks]\nx = 1", "'checks' registers no provider", ""),
    ],
)
def test_bad_input_is_refused_with_key_value_and_cure_and_destroys_nothing(
    shop: Shop, command: str, more: str, message: str, cure: str
) -> None:
    shop.configure(more)
    done = shop.run(command)
    assert done.code == 2, done
    assert message in done.err.splitlines()[0]
    assert cure in done.err
    assert "Traceback" not in done.err
    assert shop.old_nodes() == 2


@pytest.mark.parametrize("command", ["plan", "cycle", "doctor"])
def test_an_unknown_provider_on_the_command_line_names_the_nearest(
    shop: Shop, command: str
) -> None:
    shop.configure()
    done = shop.run(command, "-p", "asw")
    assert done.code == 2, done
    assert "no plugin named 'asw' is installed; known: aws, " in done.err
    assert "try: did you mean aws?" in done.err
    assert shop.old_nodes() == 2


def test_a_misspelt_table_keeps_destroy_from_acting_without_its_guard(shop: Shop) -> None:
    shop.configure('[provider.fkae]\naccount = "another"')
    done = shop.run("destroy")
    assert done.code == 2, done
    assert "did you mean provider.fake?" in done.err
    assert shop.old_nodes() == 2


def test_what_doctor_finds_fatal_stops_a_cycle_before_it_destroys(shop: Shop) -> None:
    shop.configure()
    shop.cloud.script(faults.ExpiredCredentials(call="account"))
    done = shop.run("cycle")
    assert done.code == 3, done
    assert "error: fake here: the fake cloud refuses: the token has expired" in done.err
    assert "try: heal the fake cloud" in done.err
    assert shop.old_nodes() == 2


def test_a_time_to_live_below_the_timeouts_is_a_warning_for_plan_and_doctor(shop: Shop) -> None:
    shop.configure(f'[nodes]\ntime_to_live = "24m"\n{CHECK}')
    words = "nodes.time_to_live is 24m, and the timeouts allow a run of 27m40s"
    planned, examined = shop.run("plan"), shop.run("doctor")
    assert (planned.code, examined.code) == (0, 0), (planned, examined)
    assert f"warning: spotdeploy.toml: {words}" in planned.out
    assert f"warning: {words}" in examined.out
    (found,) = json.loads(shop.run("plan", "--json").out)["warnings"]
    assert words in found


def test_nodes_that_may_be_in_two_locations_and_are_to_talk_are_a_warning(shop: Shop) -> None:
    two = '[provider.fake]\nlocations = ["here", "there"]\n'
    words = "nodes.open_between opens ports within a location, and nodes may be in 2, such as fake"
    shop.configure(more=f'[nodes]\nopen_between = "all"\n{two}')
    planned, examined = shop.run("plan"), shop.run("doctor")
    assert f"warning: spotdeploy.toml: {words} here and fake there" in planned.out
    assert f"warning: {words} here and fake there" in examined.out
    shop.configure(more=f"[nodes]\nopen_between = []\n{two}")
    assert words not in shop.run("plan").out
    shop.configure(more='[nodes]\nopen_between = "all"\n')
    assert words not in shop.run("plan").out


def test_ports_that_are_open_between_locations_are_told_or_refused(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = '[provider.fake]\nlocations = ["here", "there"]\n'
    key = "nodes.open_between_locations"
    shop.configure(more=f"[nodes]\nopen_between = [7946]\nopen_between_locations = true\n{two}")
    planned = shop.run("plan")
    words = "nodes.open_between is open to the public addresses of this deployment's nodes in other"
    assert (planned.code, words in planned.out) == (0, True), planned
    shop.configure(more=f"[nodes]\nopen_between_locations = true\n{two}")
    refused = shop.run("plan")
    assert refused.code == 2
    assert f"{key} is true, and nodes.open_between has no ports" in refused.err


def test_a_destroy_that_has_less_time_than_the_cloud_may_hide_is_a_warning(shop: Shop) -> None:
    shop.configure('[timeouts]\ndestroy = "20s"\n[provider.fake]\nsettle = 45.0\n')
    words = "timeouts.destroy is 20s, and fake may hide for 45s what was just made"
    planned, examined = shop.run("plan"), shop.run("doctor")
    assert (planned.code, examined.code) == (0, 0), (planned, examined)
    assert f"warning: fake here: {words}" in planned.out
    assert f"warning: {words}" in examined.out


def test_doctor_names_every_location_besides_a_config_that_will_not_do(shop: Shop) -> None:
    shop.configure('[nodes]\ntime_to_live = "1s"')
    done = shop.run("doctor")
    assert done.code == 3, done
    assert "problem: spotdeploy.toml: nodes.time_to_live: 1s is shorter" in done.out
    assert "fake here (account fake-account): ok" in done.out


def test_init_leaves_no_config_with_a_provider_that_is_not_there(shop: Shop) -> None:
    done = shop.run("init", "new", "-p", "asw", "--set", "nodes.count=2")
    assert done.code == 2, done
    assert "did you mean aws?" in done.err
    assert list((shop.folder / "new").iterdir()) == []


@pytest.mark.parametrize(
    ("more", "says", "cure"),
    [
        ('[payload.secrets]\nTOKEN = "env:NOT_SET_HERE"', "payload.secrets.TOKEN", "export"),
        ("[payload.secrets]\nTOKEN = \"command:sh -c 'exit 4'\"", "exited with 4", "by hand"),
        ('[payload.environment]\nDB = "env:DB"', "payload.environment.DB", "payload.secrets.DB"),
        ('[payload.environment]\n"my.name" = "x"', 'payload.environment."my.name"', "drop it"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "cycle"])
def test_variables_that_cannot_be_delivered_are_refused(
    shop: Shop, command: str, more: str, says: str, cure: str
) -> None:
    shop.configure(more)
    done = shop.run(command)
    assert done.code == 2, done
    assert says in done.err
    assert cure in done.err
    assert shop.old_nodes() == 2


def test_a_broken_variable_keeps_nobody_from_destroying(shop: Shop) -> None:
    shop.configure('[payload.environment]\n"1ST" = "x"\n[payload.secrets]\nA = "env:NOT_SET_HERE"')
    done = shop.run("destroy")
    assert done.code == 0, done
    assert shop.old_nodes() == 0


def test_a_secret_in_the_clear_is_a_warning(shop: Shop) -> None:
    shop.configure('[payload.environment]\nDB_PASS = "plainly"\nURL = "amqp://u:pw-pw@q"\nA = "b"')
    done = shop.run("plan")
    warned = [line for line in done.out.splitlines() if line.startswith("warning: ")]
    assert len(warned) == 2, done
    assert "payload.environment.DB_PASS" in warned[0]
    assert "payload.environment.URL" in warned[1]
    assert "plainly" not in done.out + done.err


def test_units_that_will_miss_their_secrets_after_the_reboot_are_a_warning(shop: Shop) -> None:
    unit = "[Service]\nExecStart=/bin/true\nEnvironmentFile=/run/spotdeploy/secrets.env\n"
    (shop.folder / "instance" / "web.service").write_text(unit)
    secrets = '[payload.secrets]\nA = "command:echo abcdef"'
    for after, warned in ((False, True), (True, False)):
        shop.configure(f"secrets_after_reboot = {str(after).lower()}\n{secrets}")
        assert ("web.service reads /run/spotdeploy/secrets" in shop.run("plan").out) is warned


def test_a_command_runs_once_a_run_and_its_value_is_nowhere(shop: Shop) -> None:
    shop.configure("[payload.secrets]\nA = \"command:sh -c 'echo x >> runs; echo hidden-2000'\"")
    done = shop.run("cycle")
    assert done.code == 3, done
    assert (shop.folder / "runs").read_text() == "x\n"
    files = [path for path in shop.folder.rglob("*") if path.is_file()]
    assert not [
        path
        for path in files
        if path.name != "spotdeploy.toml" and b"hidden-2000" in path.read_bytes()
    ]

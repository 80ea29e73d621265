"""Cells side by side on the fake cloud: each fails by itself, and all come to one end."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import jsonschema
import pytest
import typer
from junitparser import JUnitXml

from spotdeploy.api import Project
from spotdeploy.cli.cells_screen import cells_summary
from spotdeploy.cli.history import command as history
from spotdeploy.cli.live_cells import CellsScreen
from spotdeploy.cli.run import RunOptions, perform
from spotdeploy.cli.stopping import StopSignals
from spotdeploy.cycle import runbook
from spotdeploy.errors import RefusedError
from spotdeploy.events import NodeCreated
from spotdeploy.matrix import run as matrix_run
from spotdeploy.matrix.cells import Cell
from spotdeploy.matrix.compare import compare_cells
from spotdeploy.matrix.failed import failed_cells
from spotdeploy.matrix.github import annotate, summary
from spotdeploy.matrix.known import folder_of, known, remember
from spotdeploy.matrix.project import Matrix
from spotdeploy.matrix.report import (
    MatrixReport,
    matrix_report_schema_text,
    read_matrix_report,
    report_bytes,
)
from spotdeploy.matrix.run import MatrixOutcome, run_cells
from spotdeploy.model import Phase, Verdict
from spotdeploy.phases.plan import read_plans
from spotdeploy.report.run_store import find_run, run_folders
from spotdeploy.run.context import Plan
from spotdeploy.run.liveness import Liveness
from spotdeploy.run.node_run import NodeRun
from spotdeploy.state.lock import locked
from spotdeploy.testing import FakeCloud
from spotdeploy.testing.fake.store import FileStore
from tests.fake_project import Ears
from tests.report.test_report_page import Page

TOP = 'deployment = "shop"\nproviders = ["fake"]\n'
Pipeline = Callable[[NodeRun], Awaitable[None]]


class Shop:
    """A project in a folder of its own, and the fake cloud that it uses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "instance").mkdir()
        (folder / "instance" / "e.sh").write_text("true\n")
        self.cloud = FakeCloud(FileStore(folder / ".spotdeploy" / "fake-cloud.json"))
        self.ears = Ears()

    def configure(self, more: str = "", top: str = TOP, payload: str = "") -> Project:
        path = self.folder / "spotdeploy.toml"
        path.write_text(f'{top}\n[payload]\nentry = "e.sh"\n{payload}\n{more}\n')
        return Project.open(path)

    async def run(
        self, command: str = "cycle", only: Sequence[str] = (), more: str | None = None, **keys: str
    ) -> MatrixOutcome:
        if more is not None:
            self.configure(more, **keys)
        matrix = Matrix.of(Project.open(self.folder / "spotdeploy.toml")).only(only)
        return await run_cells(matrix, command, observers=[self.ears])

    @property
    def last(self) -> Path:
        return find_run(self.folder / ".spotdeploy")

    @property
    def report(self) -> MatrixReport:
        return read_matrix_report(self.last)

    def nodes(self) -> set[str]:
        """The deployments that have a node."""
        matrix = Matrix.of(Project.open(self.folder / "spotdeploy.toml"))
        return {node.labels["spotdeploy-deployment"] for node in matrix.nodes()}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.chdir(tmp_path)  # the fake cloud's file is relative to it
    return Shop(tmp_path)


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> list[Pipeline]:
    """What the machines do, in place of machines: the last one that was given."""

    async def well(node_run: NodeRun) -> None:
        del node_run

    ways: list[Pipeline] = [well]

    async def go(node_run: NodeRun, liveness: Liveness) -> None:
        del liveness
        async with node_run.in_phase(Phase.DEPLOY, 30.0):
            await ways[-1](node_run)

    monkeypatch.setattr(runbook, "_through_verify", go)
    return ways


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110  # it is of other code
            await asyncio.sleep(0.01)


def py(node_run: NodeRun) -> str:
    return node_run.run.project.facts["SPOTDEPLOY_MATRIX_PY"]


async def by_version(node_run: NodeRun) -> None:
    """2 fails, 3 meets a bug, the others pass."""
    if py(node_run) == "2":
        raise node_run.blame_payload("exit 7")
    if py(node_run) == "3":
        raise ZeroDivisionError("in a plugin")


async def test_a_cell_fails_by_itself_and_the_worst_is_the_verdict(
    shop: Shop, machines: list[Pipeline]
) -> None:
    machines.append(by_version)
    done = await shop.run(more="[matrix]\npy = [1, 2, 3]", top=f'keep = "never"\n{TOP}')
    assert [(cell.name, cell.exit_code) for cell in done.cells] == [
        ("shop-1", 0),
        ("shop-2", 1),
        ("shop-3", 3),
    ]
    assert (done.exit_code, done.verdict) == (3, Verdict.INFRASTRUCTURE_FAILED)
    assert shop.cloud.billed() == []
    assert "1 of 3 cells passed" in cells_summary(done)
    assert "exit 7" in cells_summary(done)


async def test_one_run_leaves_one_folder_with_reports_of_all_and_of_each(
    shop: Shop, machines: list[Pipeline]
) -> None:
    machines.append(by_version)
    done = await shop.run(more="[matrix]\npy = [1, 2]\nslow = [true]")
    assert [folder.name for folder in run_folders(shop.folder / ".spotdeploy")] == [done.run]
    report = json.loads((shop.last / "report.json").read_bytes())
    jsonschema.validate(report, json.loads(matrix_report_schema_text()))
    assert report == json.loads(report_bytes(shop.last))
    assert [(one["name"], one["values"]) for one in report["cells"]] == [
        ("shop-1-true", {"py": 1, "slow": True}),
        ("shop-2-true", {"py": 2, "slow": True}),
    ]
    assert (report["verdict"], report["exit_code"]) == ("payload failed", 1)
    assert report["cost"]["nodes"] == 2
    suites = list(JUnitXml.fromfile(str(shop.last / "junit.xml")))
    assert [suite.name for suite in suites] == ["before", "shop-1-true", "shop-2-true"]
    assert [(suite.failures > 0, suite.errors) for suite in suites] == [
        (False, 0),
        (False, 0),
        (True, 0),
    ]
    page = (shop.last / "report.html").read_text()
    for one in report["cells"]:
        link = f"{one['folder']}/report.html"
        assert f'href="{link}"' in page
        assert (shop.last / link).exists()
        assert (shop.last / one["folder"] / "junit.xml").exists()
    assert "<script" not in page
    read = Page(page)
    assert (read.wrong, read.open) == ([], [])
    assert find_run(shop.folder / ".spotdeploy", report["cells"][0]["folder"]) == (
        shop.last / report["cells"][0]["folder"]
    )


async def test_every_event_says_its_cell(shop: Shop, machines: list[Pipeline]) -> None:
    del machines
    done = await shop.run(more="[matrix]\npy = [1, 2]")
    made = [one for one in shop.ears.received if isinstance(one, NodeCreated)]
    assert {one.cell: one.name.rpartition("-m-")[0] for one in made} == {
        "shop-1": "shop-1",
        "shop-2": "shop-2",
    }
    own = (shop.last / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in own].count("run-ended") == 3
    assert done.exit_code == 0


async def test_each_cell_has_all_groups_in_their_order(
    shop: Shop, machines: list[Pipeline]
) -> None:
    seen: list[tuple[str, str]] = []

    async def looked_at(node_run: NodeRun) -> None:
        seen.append((py(node_run), node_run.run.group))

    machines.append(looked_at)
    groups = '[groups.head]\n[groups.worker]\ncount = 2\nafter = ["head"]'
    done = await shop.run(more=f"{groups}\n[matrix]\npy = [1, 2]")
    assert done.exit_code == 0
    for cell in ("1", "2"):
        assert [group for one, group in seen if one == cell] == ["head", "worker", "worker"]
    assert [cell.report.desired for cell in shop.report.cells] == [3, 3]


async def test_history_has_one_line_for_all_cells(
    shop: Shop, machines: list[Pipeline], capsys: pytest.CaptureFixture[str]
) -> None:
    del machines
    done = await shop.run(more="[matrix]\npy = [1, 2]")
    history(shop.folder / "spotdeploy.toml", json=True)
    (line,) = json.loads(capsys.readouterr().out)
    assert (line["run"], line["cells"], line["passed"], line["wanted"]) == (done.run, 2, 2, 2)
    assert (line["verdict"], line["exit_code"], line["providers"]) == ("passed", 0, ["fake"])


async def test_the_payload_and_its_secrets_are_read_once(
    shop: Shop, machines: list[Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    del machines
    plans: list[Project] = []

    def counted(project: Project) -> dict[str, Plan]:
        plans.append(project)
        return read_plans(project)

    monkeypatch.setattr(matrix_run, "read_plans", counted)
    secret = "[payload.secrets]\nWORD = \"command:sh -c 'echo read >> reads; echo open-sesame'\""
    done = await shop.run(more="[matrix]\npy = [1, 2, 3]", payload=secret)
    assert done.exit_code == 0
    assert len(plans) == 1
    assert (shop.folder / "reads").read_text() == "read\n"


@pytest.mark.parametrize(("limit", "most"), [("", 3), ("max_parallel = 2", 2)])
async def test_cells_run_side_by_side_within_max_parallel(
    shop: Shop, machines: list[Pipeline], limit: str, most: int
) -> None:
    here: list[str] = []
    seen: list[int] = []

    async def together(node_run: NodeRun) -> None:
        here.append(py(node_run))
        await until(lambda: len(here) >= most or bool(seen))
        seen.append(len(here))
        await asyncio.sleep(0.2)
        here.remove(py(node_run))

    machines.append(together)
    done = await shop.run(more=f"[matrix]\npy = [1, 2, 3]\n{limit}")
    assert done.exit_code == 0
    assert max(seen) == most


async def test_a_cell_that_is_taken_out_is_listed_and_destroyed(
    shop: Shop, machines: list[Pipeline]
) -> None:
    del machines
    await shop.run(more="[matrix]\npy = [1, 2, 3]")
    assert shop.nodes() == {"shop-1", "shop-2", "shop-3"}
    project = shop.configure("[matrix]\npy = [3, 4]")
    assert shop.nodes() == {"shop-1", "shop-2", "shop-3"}
    await shop.run(only=["py=4"])
    assert shop.nodes() == {"shop-1", "shop-2", "shop-3", "shop-4"}
    done = await shop.run()
    assert shop.nodes() == {"shop-3", "shop-4"}
    assert [(cell.name, cell.command) for cell in done.cells] == [
        ("shop-3", "cycle"),
        ("shop-4", "cycle"),
        ("shop-1", "destroy"),
        ("shop-2", "destroy"),
    ]
    assert set(known(project)) == {"shop-3", "shop-4"}


async def test_cells_outlive_neither_the_matrix_nor_a_damaged_note_of_them(
    shop: Shop, machines: list[Pipeline]
) -> None:
    del machines
    await shop.run(more="[matrix]\npy = [1, 2]")
    project = shop.configure()
    (folder_of(project) / "shop-2.json").write_bytes(b"\xff{")
    (folder_of(project) / "bank-2.json").write_bytes(b"{}")
    assert shop.nodes() == {"shop-1", "shop-2"}
    done = await shop.run("destroy")
    assert [cell.name for cell in done.cells] == ["shop", "shop-1", "shop-2"]
    assert shop.cloud.billed() == []
    assert known(project) == {}


async def test_what_could_not_be_destroyed_is_not_forgotten(
    shop: Shop, machines: list[Pipeline]
) -> None:
    del machines
    await shop.run(more="[matrix]\npy = [1, 2]")
    fault = '[timeouts]\ndestroy = "300ms"\n[provider.fake]\nfaults = [{kind = "stuck"}]'
    project = shop.configure(f"[matrix]\npy = [2]\n{fault}")
    done = await shop.run("destroy")
    assert done.exit_code == 4
    assert set(known(project)) == {"shop-1", "shop-2"}


async def test_a_cell_is_known_until_all_its_providers_were_looked_at(
    shop: Shop, machines: list[Pipeline]
) -> None:
    del machines
    await shop.run(more="[matrix]\npy = [1, 2]")
    project = shop.configure("[matrix]\npy = [2]")
    remember(project, Cell("shop-1", {"py": 1}), ("gcp",))
    path = project.path
    here = Matrix.of(Project.open(path, providers=["fake"]))
    assert [(cell.name, one.providers) for cell, one in here.former.items()] == [
        ("shop-1", ("fake",))
    ]
    assert (await run_cells(here, "destroy")).exit_code == 0
    assert set(known(project)) == {"shop-1"}
    assert Matrix.of(Project.open(path, providers=["local"])).former == {}


async def test_nodes_from_before_there_was_a_matrix_are_destroyed(
    shop: Shop, machines: list[Pipeline]
) -> None:
    del machines
    await shop.configure().cycle()
    shop.configure("[matrix]\npy = [1]")
    assert shop.nodes() == {"shop"}
    await shop.run()
    assert shop.nodes() == {"shop-1"}


async def test_a_stop_ends_all_cells_and_begins_no_other(
    shop: Shop, machines: list[Pipeline]
) -> None:
    begun: list[str] = []

    async def forever(node_run: NodeRun) -> None:
        begun.append(py(node_run))
        await asyncio.sleep(600)

    machines.append(forever)
    work = asyncio.create_task(
        shop.run(more="[matrix]\npy = [1, 2, 3, 4]\nmax_parallel = 2", top=f'keep = "never"\n{TOP}')
    )
    await until(lambda: len(begun) == 2)
    work.cancel()
    done = await work
    assert (done.exit_code, done.verdict) == (130, Verdict.STOPPED)
    assert sorted(begun) == ["1", "2"]
    assert shop.cloud.billed() == []
    assert [cell.report.verdict for cell in shop.report.cells] == [Verdict.STOPPED] * 4
    assert [bool(cell.folder) for cell in shop.report.cells] == [True, True, False, False]


async def test_a_cell_in_use_is_refused_and_the_others_go_on(
    shop: Shop, machines: list[Pipeline]
) -> None:
    del machines
    with locked("shop-1", "cycle"):
        done = await shop.run(more="[matrix]\npy = [1, 2]")
    assert [cell.exit_code for cell in done.cells] == [2, 0]
    assert (done.exit_code, done.verdict) == (2, Verdict.REFUSED)
    first, _ = shop.report.cells
    assert first.report.verdict is Verdict.REFUSED
    assert first.report.message.startswith("shop-1 is in use by 'spotdeploy cycle'")
    assert "shop-1 is in use" in (shop.last / "junit.xml").read_text()
    assert "shop-1 is in use" in (shop.last / "report.html").read_text()


async def test_a_bug_in_one_cell_is_70_and_the_others_end(
    shop: Shop, machines: list[Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    del machines

    def broken(project: Project, cell: Cell, providers: tuple[str, ...]) -> None:
        if cell.name == "shop-2":
            raise ZeroDivisionError("ours")
        remember(project, cell, providers)

    monkeypatch.setattr(matrix_run, "remember", broken)
    done = await shop.run(more="[matrix]\npy = [1, 2, 3]")
    assert [cell.exit_code for cell in done.cells] == [0, 70, 0]
    assert done.exit_code == 70
    assert isinstance(done.cells[1].bug, ZeroDivisionError)
    assert [cell.report.exit_code for cell in shop.report.cells] == [0, 70, 0]
    assert shop.report.cells[1].report.message == "a bug: ZeroDivisionError: ours"


async def test_max_cost_is_for_all_cells_together(shop: Shop, machines: list[Pipeline]) -> None:
    """A spot node costs 0.005 USD an hour here, so the minute that is kept back 0.000083: enough
    for one node, and not for two."""
    begun: list[str] = []

    async def slow(node_run: NodeRun) -> None:
        begun.append(py(node_run))
        await until(lambda: len(begun) >= 2)
        await asyncio.sleep(3)

    top = f'max_cost = 0.00012\nkeep = "never"\n{TOP}'
    assert (await shop.run(more="[matrix]\npy = [1]", top=top)).exit_code == 0
    machines.append(slow)
    done = await shop.run(more="[matrix]\npy = [1, 2]", top=top)
    assert [cell.exit_code for cell in done.cells] == [3, 3]
    assert all("max_cost $0.00012" in cell.message for cell in done.cells)
    assert shop.cloud.billed() == []


async def test_a_killed_run_is_reported_as_far_as_it_came(
    shop: Shop, machines: list[Pipeline]
) -> None:
    del machines
    await shop.run(more="[matrix]\npy = [1, 2, 3]")
    kept, cut, never = (shop.last / cell.folder for cell in shop.report.cells)
    events = (shop.last / "events.jsonl").read_bytes().splitlines(keepends=True)
    (shop.last / "events.jsonl").write_bytes(events[0])
    lines = (cut / "events.jsonl").read_bytes().splitlines(keepends=True)
    (cut / "events.jsonl").write_bytes(b"".join(lines[:5]))
    (never / "events.jsonl").unlink()
    report = shop.report
    assert report.verdict is Verdict.UNFINISHED
    assert [cell.report.verdict for cell in report.cells] == [
        Verdict.PASSED,
        Verdict.UNFINISHED,
        Verdict.UNFINISHED,
    ]
    assert [cell.folder for cell in report.cells] == [kept.name, cut.name, ""]
    assert failed_cells(Project.open(shop.folder / "spotdeploy.toml"))[1] == ("shop-2", "shop-3")


async def test_two_runs_are_compared_cell_by_cell(shop: Shop, machines: list[Pipeline]) -> None:
    await shop.run(more="[matrix]\npy = [1, 2]")
    before = shop.report
    machines.append(by_version)
    await shop.run(more="[matrix]\npy = [2, 4]")
    found = compare_cells(before, shop.report)
    assert (found.added, found.removed, set(found.cells)) == (("shop-4",), (), {"shop-1", "shop-2"})
    assert found.cells["shop-2"].verdicts == ("passed", "payload failed")
    assert found.same_payload


async def test_github_gets_a_table_of_cells_and_an_error_for_each_that_failed(
    shop: Shop, machines: list[Pipeline]
) -> None:
    machines.append(by_version)
    await shop.run(more="[matrix]\npy = [1, 2]")
    (line,) = annotate(shop.report)
    assert line.startswith("::error title=shop-2%3A payload failed::")
    text = summary(shop.report)
    assert "1 of 2 cells passed" in text
    assert text.count("<tr>") == 3


async def test_a_config_with_a_matrix_is_no_deployment(shop: Shop) -> None:
    project = shop.configure("[matrix]\npy = [1]")
    with pytest.raises(RefusedError, match="matrix: each cell is a deployment"):
        await project.cycle()


async def test_the_live_table_has_one_row_for_each_cell(
    shop: Shop, machines: list[Pipeline]
) -> None:
    rows: list[int] = []
    screen = CellsScreen(io.StringIO())

    async def looked_at(node_run: NodeRun) -> None:
        del node_run
        rows.append(screen.table().row_count)

    machines.append(looked_at)
    matrix = Matrix.of(shop.configure("[nodes]\ncount = 3\n[matrix]\npy = [1, 2]"))
    with screen:
        await run_cells(matrix, "cycle", observers=[screen])
    assert len(rows) == 6
    assert max(rows) == 2


def commanded(shop: Shop, *, failed: bool, only: list[str] | None = None) -> str:
    """What a cycle prints; it is run as the command line runs it."""
    stream = io.StringIO()
    config = shop.folder / "spotdeploy.toml"
    with pytest.MonkeyPatch.context() as patch, StopSignals(None) as signals:
        patch.setattr("sys.stdout", stream)
        try:
            perform(RunOptions("cycle", config, failed=failed, only=only), signals, environment={})
        except typer.Exit as end:
            stream.write(f"exit {end.exit_code}\n")
    return stream.getvalue()


def test_failed_runs_again_the_cells_that_failed_and_then_none(
    shop: Shop, machines: list[Pipeline]
) -> None:
    shop.configure("[matrix]\npy = [1, 2, 3]")
    machines.append(by_version)
    commanded(shop, failed=False)
    text = commanded(shop, failed=True)
    assert [cell.name for cell in shop.report.cells] == ["shop-2", "shop-3"]
    assert text.startswith("2 cells of run")
    assert "shop-1" not in text
    machines.pop()
    commanded(shop, failed=True, only=["py=3"])
    assert [cell.name for cell in shop.report.cells] == ["shop-3"]
    before = sorted(shop.folder.rglob("*"))
    said = commanded(shop, failed=True)
    assert said == "nothing failed in the last cycle, so nothing is run again\nexit 0\n"
    assert sorted(shop.folder.rglob("*")) == before


def test_without_a_matrix_failed_runs_the_deployment_again_when_it_did_not_pass(
    shop: Shop, machines: list[Pipeline]
) -> None:
    shop.configure()
    with pytest.raises(RefusedError, match="no cycle of shop is known here"):
        commanded(shop, failed=True)

    async def fails(node_run: NodeRun) -> None:
        raise node_run.blame_payload("exit 9")

    machines.append(fails)
    commanded(shop, failed=False)
    machines.pop()
    assert "PASSED" in commanded(shop, failed=True)
    runs = len(run_folders(shop.folder / ".spotdeploy"))
    assert "nothing failed" in commanded(shop, failed=True)
    assert len(run_folders(shop.folder / ".spotdeploy")) == runs
    shop.configure("[matrix]\npy = [1]")
    with pytest.raises(RefusedError, match="was of no matrix"):
        commanded(shop, failed=True)


def test_each_line_on_the_screen_says_its_cell(shop: Shop, machines: list[Pipeline]) -> None:
    del machines
    shop.configure("[matrix]\npy = [1, 2]")
    text = commanded(shop, failed=False)
    first, *lines = text.partition("\n\nCELL")[0].splitlines()
    assert first.startswith("cycle of shop on fake, run ")
    assert {line.partition(":")[0] for line in lines} == {"shop-1", "shop-2"}
    assert "PASSED: 2 cells passed" in text


def test_only_without_a_matrix_is_refused(shop: Shop) -> None:
    shop.configure()
    with pytest.raises(RefusedError, match=r"--only py=1: spotdeploy.toml has no \[matrix\]"):
        commanded(shop, failed=False, only=["py=1"])

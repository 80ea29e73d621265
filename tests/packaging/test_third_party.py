"""A provider and a check of someone else's: begun with our command, built, installed in a clean
venv beside our wheel, and used."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from spotdeploy.scaffold.kinds import Kind
from spotdeploy.scaffold.writing import write
from spotdeploy_local.engines.default import default_engine

PIP = (sys.executable, "-m", "pip")
PATIENCE = 240.0


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Site:
    """The venv, and the sources of the two plugins."""

    venv: Path
    provider: Path
    check: Path

    def run(self, folder: Path, program: str, *arguments: str) -> Done:
        """Run a program of the venv in a folder. Nothing of the checkout is on its path."""
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [str(self.venv / "bin" / program), *arguments],
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return Done(done.returncode, done.stdout, done.stderr)


def do(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, (command, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Everything built as wheels and installed from them, with its dependencies."""
    base = tmp_path_factory.mktemp("third-party")
    provider, check = write("acme", Kind.PROVIDER, base), write("roomy", Kind.CHECK, base)
    dist, venv = base / "dist", base / "venv"
    ours = Path(__file__).parents[2]
    do(*PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", dist, ours, provider, check)
    do(sys.executable, "-m", "venv", "--without-pip", venv)
    wheels = [str(wheel) for wheel in sorted(dist.glob("*.whl"))]
    assert len(wheels) == 3
    do(*PIP, "--python", venv, "install", "--quiet", *wheels, "pytest>=8.4")
    return Site(venv, provider, check)


@pytest.fixture
def deployment(site: Site) -> Iterator[str]:
    """A name of its own in both configs; nothing of it may be left in the end."""
    name = f"t-{secrets.token_hex(4)}"
    folders = (site.provider, site.check)
    before = {folder: (folder / "spotdeploy.toml").read_text() for folder in folders}
    for folder, text in before.items():
        new = [
            f'deployment = "{name}"' if line.startswith("deployment = ") else line
            for line in text.splitlines()
        ]
        (folder / "spotdeploy.toml").write_text("\n".join(new) + "\n")
    yield name
    for folder, text in before.items():
        done = site.run(folder, "spotdeploy", "destroy")
        assert done.code == 0, done
        (folder / "spotdeploy.toml").write_text(text)


def test_it_is_our_wheel_that_is_beside_them(site: Site, repository: Path) -> None:
    done = site.run(site.check, "python", "-c", "import spotdeploy; print(spotdeploy.__file__)")
    assert Path(done.out.strip()).is_relative_to(site.venv)
    assert not Path(done.out.strip()).is_relative_to(repository)


def test_both_are_listed_with_what_they_give(site: Site, tmp_path: Path) -> None:
    lines = site.run(tmp_path, "spotdeploy", "plugins").out.splitlines()
    rows = [" ".join(line.split()) for line in lines]
    assert "acme spotdeploy-acme 0.1.0 provider acme" in rows
    assert "roomy spotdeploy-roomy 0.1.0 checks roomy" in rows


@pytest.mark.parametrize("kind", Kind)
def test_their_own_tests_are_green_there(site: Site, kind: Kind) -> None:
    folder = site.provider if kind is Kind.PROVIDER else site.check
    done = site.run(folder, "python", "-m", "pytest", "-q")
    assert done.code == 0, done


@pytest.mark.parametrize("plugin", ["acme", "roomy"])
def test_their_contracts_are_kept_wherever_one_stands(
    site: Site, plugin: str, tmp_path: Path
) -> None:
    done = site.run(tmp_path, "spotdeploy", "plugins", "test", plugin)
    assert done.code == 0, done
    assert " passed" in done.out


def test_a_name_that_is_installed_cannot_be_begun_again(site: Site, tmp_path: Path) -> None:
    done = site.run(tmp_path, "spotdeploy", "plugins", "new", "acme")
    assert done.code == 2
    assert done.err.startswith("error: a plugin named 'acme' is installed already\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.machines
def test_a_cycle_asks_the_check_and_passes(site: Site, deployment: str) -> None:
    done = site.run(site.check, "spotdeploy", "cycle")
    assert done.code == 0, done
    assert f"{deployment}-1: check roomy '/' ok" in done.out
    assert "PASSED" in done.out


@pytest.mark.machines
def test_a_cycle_fails_when_the_check_does(site: Site, deployment: str) -> None:
    config = site.check / "spotdeploy.toml"
    text = config.read_text().replace("min_free_mib = 10\n", "min_free_mib = 999999999\n")
    config.write_text(text.replace('within = "20s"', 'within = "1s"'))
    done = site.run(site.check, "spotdeploy", "cycle")
    assert done.code == 1, done
    assert "MiB are free, fewer than 999999999" in done.out


@pytest.mark.machines
def test_a_cycle_on_the_providers_nodes_passes_and_leaves_nothing(
    site: Site, deployment: str
) -> None:
    config = site.provider / "spotdeploy.toml"
    config.write_text(config.read_text().replace("count = 1", "count = 2"))
    done = site.run(site.provider, "spotdeploy", "cycle")
    assert done.code == 0, done
    assert "acme north small spot: 2 of 2" in done.out
    assert "2 nodes gone, 1 leftover released, proven by 2 listings" in done.out
    left = [path for path in (site.provider / ".acme").rglob("*") if path.is_file()]
    assert left == []
    assert deployment not in str([dict(one.labels) for one in default_engine().machines()])


def test_nodes_that_are_never_reached_are_the_infrastructures_fault_and_go_too(
    site: Site, deployment: str
) -> None:
    config = site.provider / "spotdeploy.toml"
    text = config.read_text().replace("boot = true", "boot = false")
    config.write_text(f'{text}\n[timeouts]\nboot = "2s"\n')
    done = site.run(site.provider, "spotdeploy", "cycle")
    assert done.code == 3, done
    assert "INFRASTRUCTURE FAILED" in done.out
    assert "1 node gone, 1 leftover released, proven by 2 listings" in done.out
    assert deployment not in site.run(site.provider, "spotdeploy", "list", "--json").out

"""`spotdeploy plugins test`: 0 when the contract is kept, 1 when it is broken, 2 when there is
none to run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spotdeploy.scaffold.kinds import Kind
from spotdeploy.scaffold.writing import write

NO_PYTEST = "import sys; sys.modules['pytest'] = None; from spotdeploy.__main__ import main; main()"
METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 7\n"


def plugins_test(plugin: str, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(folder / "site"), "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, *(command or ("-m", "spotdeploy")), "plugins", "test", plugin],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The check `acme` as pip lays it down: its package, and the metadata that names it."""
    source = write("acme", Kind.CHECK, tmp_path)
    site = tmp_path / "site"
    (source / "src").rename(site)
    metadata = site / "spotdeploy_acme-7.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(METADATA.format(name="spotdeploy-acme"))
    (metadata / "entry_points.txt").write_text("[spotdeploy]\nacme = spotdeploy_acme\n")
    return site / "spotdeploy_acme"


def spoil(check: Path) -> None:
    """Make the check pass whatever it sees."""
    text = check.read_text()
    assert "self.failed(" in text
    check.write_text(text.replace("self.failed(", "self.passed("))


def test_an_installed_plugin_that_keeps_its_contract_ends_with_0(
    installed: Path, tmp_path: Path
) -> None:
    done = plugins_test("acme", tmp_path)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "19 passed" in done.stdout


def test_an_installed_plugin_that_breaks_its_contract_ends_with_1(
    installed: Path, tmp_path: Path
) -> None:
    spoil(installed / "check.py")
    done = plugins_test("acme", tmp_path)
    assert done.returncode == 1
    assert "FAILED" in done.stdout
    assert "test_it_fails_on_an_unhealthy_node_and_says_what_it_saw" in done.stdout


def test_the_pytest_settings_of_the_folder_one_stands_in_do_not_matter(
    installed: Path, tmp_path: Path
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    assert plugins_test("acme", tmp_path).returncode == 0


def test_a_contract_that_cannot_be_imported_ends_with_1(installed: Path, tmp_path: Path) -> None:
    (installed / "contract.py").write_text("import no_such_module_at_all\n")
    done = plugins_test("acme", tmp_path)
    assert done.returncode == 1
    assert "no_such_module_at_all" in done.stdout


def test_a_plugin_without_a_contract_is_named(installed: Path, tmp_path: Path) -> None:
    (installed / "contract.py").unlink()
    done = plugins_test("acme", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: plugin 'acme' brings no contract: there is no module spotdeploy_acme.contract\n"
    )


def test_tests_that_are_of_no_contract_are_no_contract(installed: Path, tmp_path: Path) -> None:
    (installed / "contract.py").write_text("def test_all_is_well() -> None:\n    assert True\n")
    done = plugins_test("acme", tmp_path)
    assert done.returncode == 2
    assert "error: acme has no test that is part of ProviderContract" in done.stderr


def test_a_plugins_folder_is_tested_without_installing_it(tmp_path: Path) -> None:
    folder = write("acme", Kind.CHECK, tmp_path)
    done = plugins_test("./spotdeploy-acme", tmp_path)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "19 passed, 6 deselected" in done.stdout
    spoil(folder / "src" / "spotdeploy_acme" / "check.py")
    assert plugins_test(".", folder).returncode == 1


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = plugins_test("./nothing", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: nothing is not a folder\n")


def test_a_plugin_that_is_not_installed_is_named_beside_those_that_are(tmp_path: Path) -> None:
    done = plugins_test("acme", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no plugin named 'acme' is installed; known: aws, ")


def test_without_pytest_the_line_that_installs_it_is_shown(tmp_path: Path) -> None:
    done = plugins_test("fake", tmp_path, "-c", NO_PYTEST)
    assert done.returncode == 2
    assert "pytest, which is not installed" in done.stderr
    assert "pip install 'spotdeploy[testing]'" in done.stderr


def test_the_fake_provider_that_is_shipped_keeps_the_contract_that_is_shipped(
    tmp_path: Path,
) -> None:
    done = plugins_test("fake", tmp_path)
    assert done.returncode == 0, (done.stdout, done.stderr)


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_the_listing_is_what_the_bare_command_gives(option: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "spotdeploy", "plugins", *option],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert "provider local" in done.stdout
    assert done.stdout.startswith("[" if option else "PLUGIN")

"""`spotdeploy plugins test`: 0 when the contract is kept, 1 when it is broken, 2 when there is
none to run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from junitparser import JUnitXml

from spotdeploy.scaffold.kinds import Kind
from spotdeploy.scaffold.writing import write

NO_PYTEST = "import sys; sys.modules['pytest'] = None; from spotdeploy.__main__ import main; main()"
STOPS_AT_A_REFUSAL = """

class Wrong(AcmeProvider):
    def end_nodes(self, nodes):
        for node in nodes:
            super().end_nodes([node])


AcmeProvider = Wrong
"""
ON_DEMAND_ALONE = """

class Poor(AcmeProvider):
    def find_offers(self, pool):
        return [one for one in super().find_offers(pool) if one.market is Market.ON_DEMAND]


AcmeProvider = Poor
"""
METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 7\n"


def plugins_test(
    plugin: str, folder: Path, *command: str, options: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    program = command or ("-m", "spotdeploy")
    return run(folder, *program, "plugins", "test", plugin, *options)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python where the packages in `folder`/site are installed."""
    variables = {**os.environ, "PYTHONPATH": str(folder / "site"), "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The check `acme` as pip lays it down: its package, and the metadata that names it."""
    return lay_down(Kind.CHECK, tmp_path)


@pytest.fixture
def provider(tmp_path: Path) -> Path:
    """The provider `acme` in the same way."""
    return lay_down(Kind.PROVIDER, tmp_path)


def lay_down(kind: Kind, folder: Path) -> Path:
    source = write("acme", kind, folder)
    site = folder / "site"
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
    assert "19 passed" in done.stdout
    spoil(folder / "src" / "spotdeploy_acme" / "check.py")
    assert plugins_test(".", folder).returncode == 1


@pytest.mark.parametrize("has_module", [True, False])
def test_of_a_folder_nothing_but_its_contract_is_imported(has_module: bool, tmp_path: Path) -> None:
    folder = write("acme", Kind.CHECK, tmp_path)
    (folder / "tests" / "test_other.py").write_text("raise SystemExit('this was imported')\n")
    if not has_module:
        module = folder / "src" / "spotdeploy_acme" / "contract.py"
        module.rename(folder / "tests" / "test_promises.py")
        (folder / "tests" / "test_contract.py").unlink()
    done = plugins_test("./spotdeploy-acme", tmp_path)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "19 passed" in done.stdout


def test_skipped_promises_say_why(provider: Path, tmp_path: Path) -> None:
    done = plugins_test("acme", tmp_path)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "this provider has no SupportsClaims" in done.stdout


def test_tests_can_be_chosen_and_pytest_be_told_more(installed: Path, tmp_path: Path) -> None:
    options = ("-k", "unhealthy", "--", "--verbose")
    done = plugins_test("acme", tmp_path, options=options)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "test_it_fails_on_an_unhealthy_node_and_says_what_it_saw PASSED" in done.stdout
    done = plugins_test("acme", tmp_path, options=("-k", "nothing_has_such_a_name"))
    assert done.returncode == 2
    assert "among those that -k nothing_has_such_a_name chooses" in done.stderr


@pytest.mark.parametrize("plugin", ["acme", "fake"])
def test_a_report_is_written_where_it_is_wished_for(
    plugin: str, installed: Path, tmp_path: Path
) -> None:
    options = ("-k", "limits or unhealthy", "--report", "report.xml")
    done = plugins_test(plugin, tmp_path, options=options)
    assert done.returncode == 0, (done.stdout, done.stderr)
    names = {case.name for suite in JUnitXml.fromfile(f"{tmp_path}/report.xml") for case in suite}
    assert names


def test_a_provider_of_another_name_than_its_plugins_is_told_so(
    provider: Path, tmp_path: Path
) -> None:
    text = (provider / "provider.py").read_text()
    (provider / "provider.py").write_text(text.replace('= "acme"', '= "acne"', 1))
    done = plugins_test("acme", tmp_path)
    assert done.returncode == 1
    assert "FAILED" in done.stdout
    assert "test_the_plugin_hands_over_the_class_under_its_own_name" in done.stdout
    listing = run(tmp_path, "-m", "spotdeploy", "plugins")
    assert "registers no provider of that name; its provider is named 'acne'" in listing.stdout


@pytest.mark.parametrize("module", ["__init__.py", "provider.py"])
@pytest.mark.parametrize("command", [("plugins",), ("plugins", "--json"), ("schema",)])
def test_one_plugin_with_a_mistake_in_it_keeps_nobody_from_the_others(
    command: tuple[str, ...], module: str, provider: Path, tmp_path: Path
) -> None:
    (provider / module).write_text("def broken(:\n")
    done = run(tmp_path, "-m", "spotdeploy", *command)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    if command[0] == "plugins":
        assert "broken: plugin 'acme' cannot be" in done.stdout
        assert done.stdout.count("broken: ") == 1
        assert "SyntaxError" in done.stdout
    for name in ("aws", "gcp", "azure", "local"):
        assert name in done.stdout


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("def release(self, resources): pass", "test_the_account_has_in_the_end"),
        ("def destroy(self, nodes): pass", "test_the_account_has_in_the_end"),
        ("def nodes(self, labels): return []", "test_the_account_has_in_the_end"),
        (
            "def nodes(self, labels): import time; time.sleep(900)",
            "test_the_account_has_in_the_end",
        ),
        ("def nodes(self, labels):\n        while True: pass", "test_the_account_has_in_the_end"),
        ("def doctor(self): import time; time.sleep(900)", "test_doctor_finds_nothing"),
    ],
)
def test_a_provider_that_waits_for_ever_ends_fast_by_the_real_clock(
    wrong: str, named: str, provider: Path, tmp_path: Path
) -> None:
    contract = (provider / "contract.py").read_text()
    facts = 'Facts(unknown_id="never-was-1"'
    assert facts in contract
    (provider / "contract.py").write_text(contract.replace(facts, f"{facts}, test_within=2.0"))
    with (provider / "provider.py").open("a") as file:
        file.write(f"\n\nclass Wrong(AcmeProvider):\n    {wrong}\n\n\nAcmeProvider = Wrong\n")
    began = time.monotonic()
    done = plugins_test("acme", tmp_path)
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert re.search(rf"FAILED .*::{named}", done.stdout), done.stdout
    last = done.stdout.splitlines()[-1]
    assert re.match(rf"\d+ not tried: failed tests have waited .* first .*{named}", last), last
    assert time.monotonic() - began < 60


def test_a_wait_in_vain_names_what_was_awaited_and_others_are_tried(
    provider: Path, tmp_path: Path
) -> None:
    contract = provider / "contract.py"
    facts = 'Facts(unknown_id="never-was-1"'
    contract.write_text(contract.read_text().replace(facts, f"{facts}, test_within=2.0"))
    with (provider / "provider.py").open("a") as file:
        file.write(STOPS_AT_A_REFUSAL)
    done = plugins_test("acme", tmp_path)
    assert done.returncode == 1, (done.stdout, done.stderr)
    test = "test_a_node_that_cannot_be_ended_does_not_keep_the_others"
    waited = rf"{test} is not done after 2s .*, waiting for it to be gone from nodes\(\): contract-"
    assert re.search(waited, done.stdout), done.stdout
    assert "not tried" not in done.stdout


def test_a_cloud_without_a_spot_market_is_told_once_to_choose_another_pool(
    provider: Path, tmp_path: Path
) -> None:
    with (provider / "provider.py").open("a") as file:
        file.write(ON_DEMAND_ALONE)
    done = plugins_test("acme", tmp_path)
    assert done.returncode == 1, (done.stdout, done.stderr)
    message = "no offer for policy spot: override the fixture `pool`"
    assert done.stdout.count("\nERROR ") == 1, done.stdout
    assert message in done.stdout
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(rf"\d\d+ not tried: {message}", last), last


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

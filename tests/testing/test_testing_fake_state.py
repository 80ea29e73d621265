"""The fake cloud in a file: separate processes see the same one, and a killed one harms nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from spotdeploy import labels
from spotdeploy.config.load import decode
from spotdeploy.errors import CapacityError, ConfigError
from spotdeploy.model import Batch, Market, Offer
from spotdeploy.testing import FakeConfig, FakeProvider
from spotdeploy.testing.fake import faults

SCOPE = labels.scope("shop")
OFFER = Offer("fake", "here", "a", "small", Market.SPOT)
CREATE = """
import sys
from spotdeploy.model import Batch, Market, Offer
from spotdeploy.testing import FakeConfig, FakeProvider

provider = FakeProvider(FakeConfig(state=sys.argv[1]), "here")
offer = Offer("fake", "here", "a", "small", Market.SPOT)
batch = Batch(sys.argv[2], 2, {"spotdeploy-deployment": "shop"}, b"\\xff\\x00", "spotdeploy")
print(len(provider.create(offer, batch).nodes))
"""


def provider(folder: Path, *script: faults.AnyFault) -> FakeProvider:
    config = FakeConfig(state=str(folder / "deep" / "cloud.json"), faults=script)
    return FakeProvider(config, "here")


def create_elsewhere(folder: Path, token: str = "t-1") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CREATE, str(folder / "deep" / "cloud.json"), token],
        capture_output=True,
        text=True,
        timeout=60,
    )


def batch(token: str) -> Batch:
    return Batch(token, 1, SCOPE, b"", "spotdeploy")


def test_what_one_process_creates_another_lists(tmp_path: Path) -> None:
    assert create_elsewhere(tmp_path).stdout == "2\n"
    here = provider(tmp_path)
    nodes = here.nodes(SCOPE)
    assert len(nodes) == 2
    assert here.cloud.machine(nodes[0].id).user_data == b"\xff\x00"


def test_a_process_killed_after_the_effect_leaves_machines_and_no_lock(tmp_path: Path) -> None:
    provider(tmp_path).cloud.script(faults.Crash())
    done = create_elsewhere(tmp_path)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "")
    assert len(provider(tmp_path).nodes(SCOPE)) == 2


def test_a_fault_in_the_file_is_used_up_by_whichever_process_meets_it(tmp_path: Path) -> None:
    provider(tmp_path).cloud.script(faults.NoCapacity(times=1))
    with pytest.raises(CapacityError):
        provider(tmp_path).create(OFFER, batch("t-0"))
    assert create_elsewhere(tmp_path).stdout == "2\n"


def test_a_fault_in_the_config_is_used_up_over_all_processes(tmp_path: Path) -> None:
    fault = faults.NoCapacity(times=1)
    with pytest.raises(CapacityError):
        provider(tmp_path, fault).create(OFFER, batch("t-1"))
    assert provider(tmp_path, fault).create(OFFER, batch("t-1")).nodes


def test_processes_do_not_lose_each_others_writes(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CREATE, str(tmp_path / "deep" / "cloud.json"), f"t-{number}"],
            stdout=subprocess.DEVNULL,
        )
        for number in range(4)
    ]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0, 0]
    here = provider(tmp_path)
    assert len({node.id for node in here.nodes(SCOPE)}) == 8
    assert here.cloud.count("create") == 4


def test_faults_can_be_written_into_the_state_file_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "cloud.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"faults": [{"kind": "no-capacity", "zone": "a"}]}))
    with pytest.raises(CapacityError):
        provider(tmp_path).create(OFFER, batch("t-1"))


def test_faults_can_be_written_in_toml() -> None:
    table = {
        "faults": [
            {"kind": "late-create", "seconds": 2.5, "zone": "b"},
            {"kind": "interruption-at", "call": "nodes", "at": 4, "ending": "preempted"},
        ]
    }
    assert decode(table, FakeConfig, "spotdeploy.toml").faults == (
        faults.LateCreate(seconds=2.5, zone="b"),
        faults.InterruptionAt(call="nodes", at=4, ending="preempted"),
    )


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"kind": "no-capacty"}, "no-capacty"),
        ({"kind": "blink", "nodse": 2}, "nodse"),
        ({"kind": "blink", "at": 0}, "at"),
        ({"kind": "throttled", "call": "sing"}, "sing"),
    ],
)
def test_a_fault_that_is_misspelt_is_an_error_with_its_place(
    fault: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        decode({"faults": [fault]}, FakeConfig, "spotdeploy.toml", "provider.fake")
    assert "provider.fake.faults[0]" in error.value.message


def test_a_damaged_state_file_is_an_error_with_a_hint(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "cloud.json"
    file.parent.mkdir()
    file.write_text("{")
    with pytest.raises(ConfigError, match="not the state of a fake cloud") as error:
        provider(tmp_path).nodes(SCOPE)
    assert error.value.hint


@pytest.mark.parametrize("kind", msgspec.inspect.type_info(faults.AnyFault).types)  # type: ignore[attr-defined]  # a union
def test_every_fault_survives_the_state_file(kind: msgspec.inspect.StructType) -> None:
    fault = kind.cls()
    data = msgspec.json.encode([fault])
    assert msgspec.json.decode(data, type=list[faults.AnyFault]) == [fault]

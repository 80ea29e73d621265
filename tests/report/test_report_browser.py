"""report.html in a real browser. These fail when Chromium is missing (Debian package chromium)."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from spotdeploy.model import Verdict
from spotdeploy.report.event_log import PAGE
from spotdeploy.report.writer import write_reports
from tests.report import samples

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr",
)
DARK = "--blink-settings=preferredColorScheme=0"
MANY = ("aws", "gcp", "azure")
RUNS = {
    "a pass": lambda: samples.passing(3),
    "a payload failure": lambda: samples.payload_failure(3),
    "an interruption": lambda: samples.interruption(3),
    "300 nodes": lambda: samples.payload_failure(100, MANY),
    "three groups": lambda: samples.cluster(3, bad=(1,)),
    "groups of 60 nodes": lambda: samples.cluster(60, "aws", bad=(3, 17, 18)),
}


def browse(profile: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Chromium with a profile of its own; its console is in standard error."""
    assert shutil.which("chromium"), "install the Debian package chromium"
    done = subprocess.run(
        ["chromium", *FLAGS, f"--user-data-dir={profile}", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def page_of(sample: samples.Sample, folder: Path) -> Path:
    written = sample.write(folder)
    assert write_reports(written) == []
    return written / PAGE


def pixels(png: Path) -> tuple[int, int, list[bytes]]:
    """Width, height and unfiltered rows of an 8-bit PNG without interlace."""
    data = png.read_bytes()
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    assert (depth, colour) in ((8, 2), (8, 6))
    size = 3 if colour == 2 else 4
    position, packed = 8, b""
    while position < len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        if data[position + 4 : position + 8] == b"IDAT":
            packed += data[position + 8 : position + 8 + length]
        position += 12 + length
    return width, height, _unfiltered(zlib.decompress(packed), width * size, size)


def _unfiltered(raw: bytes, stride: int, size: int) -> list[bytes]:
    rows: list[bytes] = []
    above = bytes(stride)
    for start in range(0, len(raw), stride + 1):
        kind, row = raw[start], bytearray(raw[start + 1 : start + 1 + stride])
        for i in range(stride) if kind else ():
            left = row[i - size] if i >= size else 0
            corner = above[i - size] if i >= size else 0
            row[i] = (row[i] + _predicted(kind, left, above[i], corner)) & 0xFF
        above = bytes(row)
        rows.append(above)
    return rows


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:
        guess = left + up - corner
        return min((left, up, corner), key=lambda one: abs(guess - one))
    return (0, left, up, (left + up) // 2)[kind]


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_is_drawn_without_complaint_in_light_and_dark(
    name: str, dark: bool, tmp_path: Path
) -> None:
    page = page_of(RUNS[name](), tmp_path / "runs")
    shot = tmp_path / "shot.png"
    scheme = (DARK,) if dark else ()
    done = browse(
        tmp_path / "profile",
        *scheme,
        "--window-size=700,500",
        f"--screenshot={shot}",
        page.as_uri(),
    )
    assert "CONSOLE" not in done.stderr
    width, height, rows = pixels(shot)
    assert (width, height) == (700, 500)
    background = sum(rows[0][:3]) / 3
    assert background < 60 if dark else background > 200
    assert len({row for row in rows if row != rows[0]}) > 100


def test_hostile_text_runs_nothing_and_loads_nothing(tmp_path: Path) -> None:
    sample = samples.Sample(run="20251124-190000-e11111")
    sample.begin(1)
    evil = "<script>document.title='owned'</script><img src='http://192.0.2.1/x' onerror='x()'>"
    sample.node("demo-1", stop_in="deploy", message=evil)
    sample.end(Verdict.PAYLOAD_FAILED, 1, evil)
    page = page_of(sample, tmp_path / "runs")
    done = browse(tmp_path / "profile", "--dump-dom", page.as_uri())
    assert "<title>Payload failed: demo 20251124-190000-e11111</title>" in done.stdout
    assert "<script" not in done.stdout
    assert "<img" not in done.stdout
    assert "CONSOLE" not in done.stderr


def test_the_page_forbids_scripts_even_if_one_got_in(tmp_path: Path) -> None:
    page = page_of(samples.passing(1), tmp_path / "runs")
    text = page.read_text()
    page.write_text(text.replace("<main", "<script>document.title='owned'</script><main", 1))
    done = browse(tmp_path / "profile", "--dump-dom", page.as_uri())
    assert "<title>Passed" in done.stdout
    assert "Content Security Policy" in done.stderr


@pytest.mark.parametrize("make", [samples.passing, RUNS["300 nodes"]])
def test_it_can_be_printed(make: Callable[[], samples.Sample], tmp_path: Path) -> None:
    page = page_of(make(), tmp_path / "runs")
    pdf = tmp_path / "page.pdf"
    browse(tmp_path / "profile", f"--print-to-pdf={pdf}", "--no-pdf-header-footer", page.as_uri())
    data = pdf.read_bytes()
    assert data.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", data)) <= 4

"""A sensor that is made up but keeps its word: readings to a journal file and over HTTP.

GET /health, /identity and /readings?last=N on port 8081. Who the sensor is follows from the node's
id; sequence numbers go on where they stopped, across restarts and reboots.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

NODE = Path("/etc/spotdeploy/node.json")
PORT = 8081
REMEMBERED = 1000
JOURNAL_BYTES = 4 * 1024 * 1024
MODELS = ("TH-100", "TH-200", "TPV-9")
SITES = ("Lisbon", "Reykjavik", "Nairobi", "Osaka", "Quito", "Perth")


@dataclass(frozen=True)
class Identity:
    """Who the sensor is."""

    sensor_id: str
    model: str
    site: str
    node_id: str


@dataclass(frozen=True)
class Reading:
    """One measurement. `at` is Unix time in seconds."""

    sequence: int
    at: float
    temperature_c: float
    humidity_percent: float
    pressure_hpa: float
    vibration_mm_s: float


def identify(node_id: str) -> Identity:
    """The sensor of a node: the same node is always the same sensor."""
    digest = hashlib.sha256(node_id.encode()).digest()
    model, site = MODELS[digest[0] % len(MODELS)], SITES[digest[1] % len(SITES)]
    return Identity(f"sensor-{digest.hex()[:12]}", model, site, node_id)


class Generator:
    """A random walk around plausible values."""

    def __init__(self, identity: Identity, last: Reading | None) -> None:
        self._random = random.Random(f"{identity.sensor_id}-{last.sequence if last else 0}")
        base = random.Random(identity.sensor_id)
        self._last = last or Reading(
            0, 0.0, base.uniform(15, 25), base.uniform(35, 65), base.uniform(1000, 1025), 1.0
        )

    def next(self, now: float) -> Reading:
        """The next reading."""
        last = self._last
        self._last = Reading(
            sequence=last.sequence + 1,
            at=round(now, 3),
            temperature_c=self._step(last.temperature_c, 0.2, -20, 45),
            humidity_percent=self._step(last.humidity_percent, 0.5, 5, 95),
            pressure_hpa=self._step(last.pressure_hpa, 0.3, 950, 1050),
            vibration_mm_s=self._step(last.vibration_mm_s, 0.1, 0, 20),
        )
        return self._last

    def _step(self, value: float, spread: float, low: float, high: float) -> float:
        return round(min(high, max(low, value + self._random.gauss(0, spread))), 3)


class Journal:
    """Readings as lines of JSON in a file that is set aside when it is full."""

    def __init__(self, path: Path, limit: int = JOURNAL_BYTES) -> None:
        self._path = path
        self._limit = limit

    def last(self) -> Reading | None:
        """The newest reading that was kept whole."""
        for path in (self._path, self._path.with_suffix(".1")):
            lines = path.read_text("utf-8").splitlines() if path.exists() else []
            for line in reversed(lines):
                if reading := _parse(line):
                    return reading
        return None

    def append(self, reading: Reading) -> None:
        """Keep a reading."""
        if self._path.exists() and self._path.stat().st_size >= self._limit:
            self._path.replace(self._path.with_suffix(".1"))
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(reading)) + "\n")


class Station:
    """The sensor at work: what it has read and whether it is well."""

    def __init__(self, identity: Identity, journal: Journal) -> None:
        self.identity = identity
        self._journal = journal
        self._generator = Generator(identity, journal.last())
        self._readings: deque[Reading] = deque(maxlen=REMEMBERED)
        self._trouble = ""

    def measure(self) -> None:
        """Take one reading."""
        reading = self._generator.next(time.time())
        self._readings.append(reading)
        try:
            self._journal.append(reading)
            self._trouble = ""
        except OSError as error:
            self._trouble = f"cannot write the journal: {error.strerror}"

    def answer(self, path: str) -> tuple[int, object]:
        """Status and body for a path."""
        parts = urlsplit(path)
        if parts.path == "/health":
            body = {"status": self._trouble or "ok", "readings": len(self._readings)}
            return (503 if self._trouble else 200), body
        if parts.path == "/identity":
            return 200, asdict(self.identity)
        if parts.path == "/readings":
            return self._latest(parse_qs(parts.query).get("last", ["10"])[0])
        return 404, {"error": f"nothing at {parts.path}"}

    def _latest(self, last: str) -> tuple[int, object]:
        if not last.isdigit() or int(last) > REMEMBERED:
            return 400, {"error": f"last should be a number up to {REMEMBERED}, not {last[:40]!r}"}
        readings = list(self._readings)[-int(last) :] if int(last) else []
        return 200, [asdict(reading) for reading in readings]


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--node", type=Path, default=NODE)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between readings")
    state = os.environ.get("STATE_DIRECTORY", "/var/lib/sensor-generator")
    parser.add_argument("--state", type=Path, default=Path(state))
    options = parser.parse_args(arguments)
    node_id = json.loads(options.node.read_text("utf-8"))["node_id"]
    station = Station(identify(node_id), Journal(options.state / "readings.jsonl"))
    station.measure()
    server = ThreadingHTTPServer(("0.0.0.0", options.port), handler(station))  # noqa: S104  # the node's firewall decides
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    notify("READY=1")
    print(f"{station.identity.sensor_id} serves port {server.server_port}", flush=True)
    while not stopping.wait(options.interval):
        station.measure()
    notify("STOPPING=1")
    server.shutdown()
    return 0


def handler(station: Station) -> type[BaseHTTPRequestHandler]:
    """The request handler of a station."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            status, body = station.answer(self.path)
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Requests are not worth a line in the journal."""

    return Handler


def notify(state: str) -> None:
    """Tell systemd, when it listens (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
        sock.send(state.encode())


def _parse(line: str) -> Reading | None:
    try:
        return Reading(**json.loads(line))
    except (ValueError, TypeError):
        return None


if __name__ == "__main__":
    sys.exit(main())

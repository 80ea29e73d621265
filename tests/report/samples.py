"""Runs as the core would have told them: typed events on an invented clock, evidence on disk."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from spotdeploy.events import (
    BeforeEnded,
    BeforeOutput,
    BeforeSkipped,
    BeforeStarted,
    CheckAnswered,
    Event,
    EvidenceKept,
    GroupEnded,
    GroupPlan,
    NodeCreated,
    NodeDestroyed,
    NodeEnded,
    Note,
    OfferTried,
    PhaseEnded,
    PhaseStarted,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
)
from spotdeploy.model import DEFAULT_GROUP, FateKind, Verdict
from spotdeploy.phases.evidence import INDEX, Item
from spotdeploy.report.event_log import EventLog

CHECKS = (
    "systemd bacalhau.service, sensor-generator.service",
    "http :8081/health",
    "http :1234/api/v1/agent/alive",
    "payload",
    "rebooted",
)
PHASES = (("boot", 14.0), ("ship", 2.0), ("deploy", 21.0), ("reboot", 9.0), ("verify", 12.0))
BEGAN = 1_764_000_000.0
REFUSED_HEALTH = "connection refused on port 8081; the last answer was 503 Service Unavailable"
TAKEN_BACK = "Server.SpotInstanceTermination: the instance was terminated for capacity"
PLACES = {
    "local": ("local", None, "container", 0.0),
    "aws": ("us-west-2", "us-west-2b", "t3.medium", 0.0125),
    "gcp": ("europe-west4", "europe-west4-a", "e2-medium", None),
    "azure": ("northeurope", "northeurope-1", "Standard_B2s", 0.0104),
}


@dataclass
class Sample:
    """One invented run."""

    run: str = "20251124-160000-abc123"
    command: str = "cycle"
    providers: tuple[str, ...] = ("aws",)
    checks: tuple[str, ...] = CHECKS
    groups: tuple[GroupPlan, ...] = ()
    events: list[Event] = field(default_factory=list)
    random: random.Random = field(default_factory=lambda: random.Random(7))

    def at(self, seconds: float, event: Event) -> None:
        """Let the event happen so many seconds after the start."""
        self.events.append(msgspec.structs.replace(event, at=BEGAN + seconds))

    def begin(self, desired: int) -> None:
        """Plan, destroy, and start to create."""
        self.at(
            0,
            RunStarted(
                run=self.run,
                command=self.command,
                deployment="demo",
                providers=self.providers,
                digest="3fa9c1e07b5d" * 5,
                desired=desired,
                checks=self.checks,
                groups=self.groups,
            ),
        )
        for start, end, step, detail in (
            (0.1, 2.0, "plan", "6 candidates"),
            (2.0, 9.5, "destroy", "2 nodes are gone"),
        ):
            self.at(start, StepStarted(step=step))
            self.at(end, StepEnded(step=step, ok=True, detail=detail))
        self.at(8.9, NodeDestroyed(node="old-1", name="demo-old", provider="aws", location="x"))
        if not self.groups:
            self.create(desired, 9.6)

    def create(self, desired: int, start: float, group: str = "") -> None:
        """The step that creates, of a group or of the run."""
        detail = f"{desired} nodes"
        self.at(start, StepStarted(step="create", detail=detail, group=group))
        done = StepEnded(step="create", ok=True, detail=f"{desired} of {detail}", group=group)
        self.at(start + 2.4, done)

    def offer(
        self,
        provider: str,
        asked: int,
        got: int,
        refusal: str = "",
        *,
        group: str = DEFAULT_GROUP,
        at: float = 10.5,
    ) -> None:
        """A create call."""
        location, zone, size, _ = PLACES[provider]
        self.at(
            at,
            OfferTried(
                provider=provider,
                location=location,
                zone=zone,
                size=size,
                market="spot",
                asked=asked,
                got=got,
                refusal=refusal,
                group=group,
            ),
        )

    def node(
        self,
        name: str,
        provider: str = "aws",
        *,
        bad: Sequence[str] = (),
        stop_in: str = "",
        interrupted: bool = False,
        start: float = 11.0,
        message: str = "",
        kept: bool = True,
        group: str = DEFAULT_GROUP,
    ) -> None:
        """A node's whole way. `bad` checks fail; `stop_in` is the phase it fails in."""
        location, zone, size, rate = PLACES[provider]
        self.at(
            start,
            NodeCreated(
                node=f"i-{name}",
                name=name,
                provider=provider,
                location=location,
                zone=zone,
                size=size,
                market="spot",
                usd_per_hour=rate,
                group=group,
            ),
        )
        now = start
        for phase, usual in PHASES:
            now += 0.2
            seconds = usual * self.random.uniform(0.8, 1.35)
            stops = phase == stop_in
            seconds *= 0.6 if stops and interrupted else 1
            self.at(now, PhaseStarted(node=f"i-{name}", phase=phase))
            if phase == "verify":
                checks = self._checks_of(group)
                self._answers(name, now, seconds, bad, checks, cut=interrupted and stops)
            now += seconds
            failed = stops or (phase == "verify" and bool(bad))
            detail = ("cancelled" if interrupted else message or "failed") if failed else ""
            self.at(
                now,
                PhaseEnded(
                    node=f"i-{name}", phase=phase, ok=not failed, seconds=seconds, detail=detail
                ),
            )
            if stops:
                break
        self._end(name, now, bad, stop_in, interrupted=interrupted, message=message)
        if interrupted or not kept:
            gone = NodeDestroyed(node=f"i-{name}", name=name, provider=provider, location=location)
            self.at(now + 4.5, gone)

    def _checks_of(self, group: str) -> tuple[str, ...]:
        return next((plan.checks for plan in self.groups if plan.name == group), self.checks)

    def _end(
        self,
        name: str,
        now: float,
        bad: Sequence[str],
        stop_in: str,
        *,
        interrupted: bool,
        message: str,
    ) -> None:
        fine = not bad and not stop_in
        verdict = Verdict.PASSED if fine else Verdict.PAYLOAD_FAILED
        if interrupted or stop_in == "boot":
            verdict = Verdict.INFRASTRUCTURE_FAILED
        if bad:
            message = "; ".join(f"{check}: {REFUSED_HEALTH}" for check in bad)
        if interrupted:
            message = f"interrupted during {stop_in}: {TAKEN_BACK}"
        fate = FateKind.INTERRUPTED if interrupted else None
        if not fine:
            folder = f"evidence/aws-{name}-0a1b2c"
            self.at(now + 1.0, EvidenceKept(node=f"i-{name}", folder=folder, files=4))
        self.at(now + 1.2, NodeEnded(node=f"i-{name}", verdict=verdict, detail=message, fate=fate))

    def _answers(
        self,
        name: str,
        start: float,
        seconds: float,
        bad: Sequence[str],
        checks: Sequence[str],
        *,
        cut: bool,
    ) -> None:
        for index, check in enumerate(checks):
            at = start + seconds * (0.3 + 0.12 * index)
            asked = CheckAnswered(
                node=f"i-{name}", check=check, ok=False, settled=False, detail="x"
            )
            if index == 1:
                self.at(start + 0.4, asked)
            if cut and index > 1:
                continue
            detail = REFUSED_HEALTH if check in bad else ""
            answer = CheckAnswered(
                node=f"i-{name}", check=check, ok=check not in bad, settled=True, detail=detail
            )
            self.at(at, answer)

    def end(self, verdict: Verdict, code: int, message: str = "", after: float = 3.0) -> None:
        """The verdict, a moment after everything else."""
        self.at(
            self.last + after,
            RunEnded(run=self.run, verdict=verdict, exit_code=code, detail=message),
        )

    def deploy(
        self,
        group: str,
        names: Sequence[str],
        provider: str,
        start: float | None = None,
        *,
        bad: Sequence[int] = (),
    ) -> None:
        """A whole group; its `bad` nodes, by their numbers, fail its first check."""
        start = self.last + 0.1 if start is None else start
        self.create(len(names), start, group)
        self.offer(provider, len(names), len(names), group=group, at=start + 0.9)
        check = self._checks_of(group)[0]
        for number, name in enumerate(names):
            wrong = (check,) if number in bad else ()
            kept = not bad
            self.node(name, provider, start=start + 1.4, group=group, bad=wrong, kept=kept)
        verdict = Verdict.PAYLOAD_FAILED if bad else Verdict.PASSED
        words = f"{len(bad)} failed" if bad else f"all {len(names)} nodes are healthy"
        self.at(self.last, GroupEnded(group=group, verdict=verdict, detail=words))

    @property
    def last(self) -> float:
        """When the last thing so far happened, in seconds after the start."""
        return max(event.at for event in self.events) - BEGAN

    def write(self, runs: Path) -> Path:
        """The run's folder, written by the real log, with evidence of the failed nodes."""
        folder = runs / self.run
        log = EventLog()
        log.open(folder)
        for event in sorted(self.events, key=lambda event: event.at):
            log.on(event)
        log.close()
        for event in self.events:
            if isinstance(event, EvidenceKept):
                write_evidence(folder / event.folder)
        return folder


EVIDENCE = {
    "deployment.log": (
        "the output of the payload's entry",
        "".join(f"16:00:{n % 60:02d} step {n}: configured unit {n}\n" for n in range(220))
        + "Traceback (most recent call last):\n  <b>not bold</b> & <script>alert(1)</script>\n",
    ),
    "failed-units.txt": (
        "units that failed",
        "UNIT                     LOAD   ACTIVE SUB    DESCRIPTION\n"
        "sensor-generator.service loaded failed failed Sensor readings\n\n1 loaded units listed.\n",
    ),
    "journal.txt": (
        "the journal since boot",
        "2025-11-24T16:01:02+0000 demo-2 systemd[1]: Started sensor-generator.service.\n" * 60,
    ),
    "disk.txt": ("disk space", "Filesystem      Size  Used Avail Use% Mounted on\n"),
}


def write_evidence(folder: Path) -> None:
    """What a collect would have left."""
    folder.mkdir(parents=True)
    items = []
    for file, (title, text) in EVIDENCE.items():
        (folder / file).write_text(text)
        items.append(Item(file, title, len(text.encode()), complete=True))
    items.append(Item("kernel.txt", "the kernel's last messages", 0, False, "it was unreachable"))
    (folder / INDEX).write_bytes(msgspec.json.encode(items))


def passing(count: int = 3, providers: tuple[str, ...] = ("aws",), run: str = "") -> Sample:
    """Everything is well."""
    sample = Sample(providers=providers, **({"run": run} if run else {}))  # type: ignore[arg-type]
    sample.begin(count * len(providers))
    for provider in providers:
        sample.offer(provider, count, count)
        for index in range(count):
            sample.node(f"demo-{provider}-{index + 1}", provider)
    sample.end(Verdict.PASSED, 0, f"all {count * len(providers)} nodes are healthy")
    return sample


def payload_failure(count: int = 3, providers: tuple[str, ...] = ("aws",)) -> Sample:
    """Some nodes' service never answers, one node's entry fails."""
    sample = Sample(run="20251124-170000-bad000", providers=providers)
    sample.begin(count * len(providers))
    for provider in providers:
        sample.offer(provider, count, count)
        for index in range(count):
            bad = CHECKS[1:2] if index % 29 == 1 else ()
            stop = "deploy" if index == 2 else ""
            message = "the entry exited with 7: no space left on device" if stop else ""
            name = f"demo-{provider}-{index + 1}"
            sample.node(name, provider, bad=bad, stop_in=stop, message=message, kept=False)
    sample.end(Verdict.PAYLOAD_FAILED, 1, f"demo-aws-2: {CHECKS[1]}: {REFUSED_HEALTH}; and more", 9)
    return sample


def failed_before(count: int = 3) -> Sample:
    """A run whose second test failed, with texts that files cannot carry."""
    sample = Sample()
    sample.begin(count)
    sample.at(1, BeforeStarted(number=1, command="syntax"))
    sample.at(2, BeforeEnded(number=1, ok=True, seconds=0.5))
    sample.at(2, BeforeStarted(number=2, command="pytest   -q\n\n --lf <x>"))
    sample.at(3, BeforeOutput(number=2, lines=("a <b>", "  ]]> last")))
    sample.at(4, BeforeEnded(number=2, ok=False, seconds=1.5, exit_code=2, detail="ended: 2"))
    sample.at(4, BeforeSkipped(number=3, command="mypy", why="pytest failed"))
    sample.end(Verdict.TESTS_FAILED, 1, "pytest -q ended: 2")
    return sample


def interruption(count: int = 3, providers: tuple[str, ...] = ("aws",)) -> Sample:
    """The cloud takes nodes back; the first is replaced."""
    sample = Sample(run="20251124-180000-fade00", providers=providers)
    sample.begin(count * len(providers))
    for provider in providers:
        short = "InsufficientInstanceCapacity: we currently do not have sufficient capacity"
        sample.offer(provider, count, count - 1, short)
        sample.offer(provider, 1, 1)
        for index in range(count):
            taken = index % 47 == 1
            name = f"demo-{provider}-{index + 1}"
            sample.node(
                name, provider, stop_in="deploy" if taken else "", interrupted=taken, kept=not taken
            )
    sample.at(36, Note(text="replacing demo-aws-2: interrupted during deploy", node="i-demo-aws-2"))
    sample.at(37, Note(text="no answer to create (timed out); asking again"))
    sample.at(38, Note(text="AWS throttles us; slowing down", warning=True))
    sample.node("demo-aws-r1", "aws", start=41.0)
    sample.end(
        Verdict.PASSED if count == 3 else Verdict.INFRASTRUCTURE_FAILED,
        0 if count == 3 else 3,
        "all 3 nodes are healthy" if count == 3 else "quorum not reached",
    )
    return sample


HEAD_CHECKS = ("http :4646/v1/status/leader", "payload", "rebooted")
WORKER_CHECKS = ("systemd worker.service", "tcp :4647 of head", "payload", "rebooted")
NOT_DEPLOYED = "not deployed, since worker did not pass"


def cluster(
    workers: int = 3, provider: str = "local", *, bad: Sequence[int] = (), run: str = ""
) -> Sample:
    """A head, workers that come after it, and a watcher after these. Where `bad` workers (by their
    numbers) fail a check, the watcher is not deployed."""
    groups = (
        GroupPlan(name="head", desired=1, quorum=1, digest="aa" * 32, checks=HEAD_CHECKS),
        GroupPlan(
            name="worker",
            desired=workers,
            quorum=workers,
            after=("head",),
            digest="bb" * 32,
            checks=WORKER_CHECKS,
        ),
        GroupPlan(name="watcher", desired=1, quorum=1, after=("worker",), checks=("payload",)),
    )
    every = tuple(dict.fromkeys(name for group in groups for name in group.checks))
    sample = Sample(
        run=run or "20251124-190000-c1057e",
        providers=(provider,),
        checks=every,
        groups=groups,
    )
    sample.begin(workers + 2)
    sample.deploy("head", ["demo-4f1c"], provider, 9.6)
    sample.deploy("worker", [f"demo-{7000 + n:x}" for n in range(workers)], provider, bad=bad)
    if bad:
        ended = GroupEnded(group="watcher", detail=NOT_DEPLOYED, waited_for="worker")
        sample.at(sample.last, ended)
        words = f"worker: demo-{7000 + bad[0]:x}: {WORKER_CHECKS[0]}: {REFUSED_HEALTH}"
        sample.end(Verdict.PAYLOAD_FAILED, 1, f"{words}; watcher was {NOT_DEPLOYED}", 6.0)
    else:
        sample.deploy("watcher", ["demo-9b3e"], provider)
        sample.end(Verdict.PASSED, 0, "head: 1 node is healthy; worker: all nodes are healthy")
    return sample

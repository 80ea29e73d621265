"""Asking every location what would stop a run."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from spotdeploy import project
from spotdeploy.config.schema import Settings
from spotdeploy.errors import SpotdeployError
from spotdeploy.model import Problem
from spotdeploy.phases.plan import read_plan
from spotdeploy.plugins import Registry
from spotdeploy.provider import Provider, SupportsAccount


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in one place."""

    where: str
    problems: tuple[Problem, ...]
    account: str = ""
    """Whose account it acts in, where the provider knows."""


def examine(registry: Registry, settings: Settings, providers: Sequence[str]) -> list[Findings]:
    """Examine the payload and every location, locations in parallel. Changes nothing."""
    opened = project.open_providers(registry, settings, providers)
    with ThreadPoolExecutor(min(32, len(opened))) as threads:
        locations = list(threads.map(lambda one: _location(*one), opened))
    return [_config(registry, settings), *locations]


def _config(registry: Registry, settings: Settings) -> Findings:
    try:
        read_plan(registry, settings)
    except SpotdeployError as error:
        return Findings(settings.path.name, (_problem(error),))
    return Findings(settings.path.name, ())


def _location(provider: Provider[Any], place: str) -> Findings:
    where = f"{provider.name} {place}"
    try:
        problems = tuple(provider.doctor())
        account = provider.account() if isinstance(provider, SupportsAccount) else ""
    except SpotdeployError as error:
        return Findings(where, (_problem(error),))
    return Findings(where, problems, account)


def _problem(error: SpotdeployError) -> Problem:
    return Problem(error.message, error.hint or "see the message")

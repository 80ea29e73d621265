"""architecture.md: the floors of the core as a picture, and where to find what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

FLOORS: Final = (
    (("cli",), "commands, screens, signals"),
    (("matrix",), "many deployments of one config, side by side"),
    (("api",), "open a project, run a cycle"),
    (("cycle",), "the runbook, its policies, the budget"),
    (("phases",), "before plan create boot ship deploy reboot verify evidence destroy reap"),
    (("run",), "one run: its locations, its nodes, its verdict"),
    (("node",), "connection, shells, keys, user-data, diagnostics"),
    (("project", "patience", "config", "payload", "state"), "one deployment on this computer"),
    (("provider", "check", "hookspecs", "plugins"), "the contracts"),
    (
        (
            "model",
            "errors",
            "refusals",
            "labels",
            "text",
            "duration",
            "events",
            "ports",
            "redact",
            "spelling",
        ),
        "the nouns",
    ),
)
"""What stands on each floor, from the top down, and what it is for."""
BESIDE: Final = (("report",), "html, junit, github")
"""Drawn beside the phases: used by `api`, `matrix` and `cli` alone."""

HEIGHT: Final = 44
STEP: Final = 58
WIDTH: Final = 520
LINE: Final = 'fill="none" stroke="currentColor" opacity=".55"'
"""The colour of the text around it, so that the picture fits light and dark pages."""
HEAD: Final = """\
# The tree

The folders of `spotdeploy/` are floors: a module imports from below, never from above. A test reads
the imports and holds that. `report` stands beside the phases and is used by `api`, `matrix` and
`cli` alone; providers and checks import the contracts and the nouns, and nothing above them.
[Why](adr/0009-the-tree.md).

"""
TAIL: Final = """
| looking for | it is in |
|---|---|
| a command, its options, what it prints | `cli/`, a file for each command |
| the order of a cycle; what stays at its end | `cycle/runbook.py`, `cycle/policy.py` |
| which cells a matrix has, and what each changes | `matrix/cells.py`, `matrix/placing.py` |
| one phase | `phases/`, a file for each |
| how often a refused call of a cloud is repeated | `patience.py` |
| how commands run on a node | `node/connection.py`, `node/shells.py` |
| what the config may say | `config/schema.py` |
| what is kept between runs | `state/journal.py` |
| the result of a run, as people see it | `report/` |
| what a provider or a check must do | `provider.py`, `check.py`; `testing/` holds them to it |
| a cloud | `providers/spotdeploy_NAME/`: `api` calls it, `create` and `destroy` use that |
"""


def architecture_page() -> str:
    """The whole page."""
    return HEAD + picture() + TAIL


def picture() -> str:
    """The floors as SVG that a page holds itself, so that it loads nothing."""
    height = 4 + STEP * len(FLOORS) + 2
    return (
        f'<svg viewBox="0 0 720 {height}" role="img" aria-label="The floors of the core, from the '
        'command line down to the nouns" style="max-width:45rem;width:100%" '
        'font-family="inherit" font-size="14">\n' + "\n".join(_shapes()) + "\n</svg>\n"
    )


def _shapes() -> Iterator[str]:
    for number, (rooms, purpose) in enumerate(FLOORS):
        top = 4 + STEP * number
        yield _box(4, top, WIDTH, rooms, purpose)
        if number < len(FLOORS) - 1:
            yield _arrow(f"M{4 + WIDTH // 2} {top + HEIGHT} v10 m-4 -4 l4 4 l4 -4")
    cli, api, phases, run = (_top(room) for room in ("cli", "api", "phases", "run"))
    right, middle = 4 + WIDTH, HEIGHT // 2
    yield _box(556, phases, 160, *BESIDE)
    yield _arrow(f"M{right} {cli + middle} H652 V{phases - 4} m-4 -4 l4 4 l4 -4")
    yield _arrow(f"M{right} {api + middle} H620 V{phases - 4} m-4 -4 l4 4 l4 -4")
    yield _arrow(f"M636 {phases + HEIGHT} V{run + middle} H{right + 4} m4 -4 l-4 4 l4 4")


def _top(room: str) -> int:
    return next(4 + STEP * number for number, (rooms, _) in enumerate(FLOORS) if room in rooms)


def _box(left: int, top: int, width: int, rooms: tuple[str, ...], purpose: str) -> str:
    text = f'<text x="{left + 14}" fill="currentColor"'
    return (
        f'<rect x="{left}" y="{top}" width="{width}" height="{HEIGHT}" rx="6" {LINE}/>'
        f'{text} y="{top + 19}" font-weight="600">{"  ".join(rooms)}</text>'
        f'{text} y="{top + 36}" opacity=".75" font-size="12">{purpose}</text>'
    )


def _arrow(path: str) -> str:
    return f'<path d="{path}" {LINE}/>'

"""Which cells a matrix has, and what each is called.

Combinations are made as GitHub Actions makes them:
https://docs.github.com/actions/how-tos/write-workflows/choose-what-workflows-do/run-job-variations
Where that page leaves something open, the code of GitHub's own parser decides: `MatrixBuilder` in
https://github.com/actions/runner/tree/main/src/Sdk
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from spotdeploy.text import plain

Value = str | int | bool
Values = Mapping[str, Value]
LONGEST: Final = 40
"""Characters of a deployment's name."""
SHOWN: Final = 200
"""Characters of a cell's values that are shown."""
_NUMBER: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
"""As in JSON: https://docs.github.com/actions/reference/evaluate-expressions-in-workflows"""


@dataclass(frozen=True, slots=True)
class Combination:
    """One combination of values."""

    values: Values
    """All of them, in the order of the axes; what `include` added comes last."""
    identity: Values
    """Those that tell it from the others: without what `include` only added."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One deployment of a matrix."""

    name: str
    """The deployment's."""
    values: Values = field(hash=False)

    @property
    def texts(self) -> dict[str, str]:
        """The values as people and variables have them."""
        return {axis: spelled(value) for axis, value in self.values.items()}

    def __str__(self) -> str:
        texts = (f"{axis}={text}" for axis, text in self.texts.items())
        return plain(" ".join(texts), limit=SHOWN).replace("\n", " ") or self.name


def combine(
    axes: Mapping[str, Sequence[Value]], include: Sequence[Values], exclude: Sequence[Values]
) -> list[Combination]:
    """Every combination of one value of each axis but for those that `exclude` matches. An
    `include` adds its other values to each combination whose axes it matches, or is one itself
    where it matches none; none replaces a value of an axis."""
    product = [dict(zip(axes, some, strict=True)) for some in itertools.product(*axes.values())]
    original = [one for one in product if axes and not any(_matches(one, e) for e in exclude)]
    filters = [{key: value for key, value in one.items() if key in axes} for one in include]
    made = []
    for one in original:
        added: dict[str, Value] = {}
        for entry, wanted in zip(include, filters, strict=True):
            if _matches(one, wanted):
                added |= {key: value for key, value in entry.items() if key not in axes}
        made.append(Combination({**one, **added}, one))
    for entry, wanted in zip(include, filters, strict=True):
        if not any(_matches(one, wanted) for one in original):
            made.append(Combination(entry, entry))
    return made


def name_cells(deployment: str, combinations: Sequence[Combination]) -> list[Cell]:
    """Each combination as a cell. Its name is made of the deployment's and its values, in the order
    of their axes' names; one that is too long, or that two would have, ends in a hash of them."""
    short = [_short_name(deployment, one.identity) for one in combinations]
    shared = {name for name, times in Counter(short).items() if times > 1}
    return [
        Cell(
            name
            if name != deployment and name not in shared and len(name) <= LONGEST
            else _hashed_name(name, deployment, one.identity),
            one.values,
        )
        for name, one in zip(short, combinations, strict=True)
    ]


def spelled(value: Value) -> str:
    """A value as text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def equal(one: Value, other: Value) -> bool:
    """Whether GitHub's `==` holds: of texts without regard to case, of unlike types as numbers."""
    if isinstance(one, str) and isinstance(other, str):
        return one.upper() == other.upper()
    return _number(one) == _number(other)  # no text that is no number equals anything


def _matches(values: Values, wanted: Values) -> bool:
    return all(equal(values[axis], value) for axis, value in wanted.items())


def _number(value: Value) -> float:
    if not isinstance(value, str):
        return float(value)
    text = value.strip()
    if not text:
        return 0.0
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def _sorted(values: Values) -> Iterator[tuple[str, Value]]:
    return iter(sorted(values.items()))


def _short_name(deployment: str, values: Values) -> str:
    words: Iterable[str] = (_word(spelled(value)) for _, value in _sorted(values))
    return "-".join(filter(None, (deployment, *words)))


def _word(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")


def is_cell_of(deployment: str, name: str) -> bool:
    """Whether a name can be that of a cell of a deployment."""
    begins = (f"{deployment}-", f"{deployment[: LONGEST - 9].rstrip('-')}-")
    return name.startswith(begins) and re.fullmatch(r"[a-z0-9-]{1,40}", name) is not None


def _hashed_name(name: str, deployment: str, values: Values) -> str:
    import base64  # these take longer than a listing needs
    import hashlib
    import json

    whole = json.dumps([deployment, list(_sorted(values))]).encode()
    code = base64.b32encode(hashlib.sha256(whole).digest()).decode().lower()[:8]
    return f"{name[: LONGEST - 9].rstrip('-')}-{code}"

"""How hard the properties are tried: the same examples on every computer, within seconds."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

USUAL = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
FEW = settings(USUAL, max_examples=25)
"""For properties that start a process or write many files."""
MANY = settings(USUAL, max_examples=250, phases=[Phase.explicit, Phase.generate])
"""For the properties that matter most, where one example takes milliseconds. A failure is shown
as it was found: to make it smaller takes minutes."""

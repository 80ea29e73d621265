"""Every case of the campaign."""

from __future__ import annotations

from tests.faults import cases_fake
from tests.faults.case import Case

CASES: tuple[Case, ...] = (*cases_fake.cases(),)

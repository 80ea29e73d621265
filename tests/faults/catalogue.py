"""Every case of the campaign."""

from __future__ import annotations

from tests.faults import (
    cases_aws,
    cases_azure,
    cases_boot,
    cases_connection,
    cases_fake,
    cases_gcp,
    cases_host,
    cases_hostile,
    cases_interruption,
    cases_payload,
    cases_seeded,
    cases_stop,
    cases_stopped,
    cases_this_host,
)
from tests.faults.case import Case
from tests.faults.refusals import Refusal, refusals

CASES: tuple[Case, ...] = (
    *cases_fake.cases(),
    *cases_host.cases(),
    *cases_aws.cases(),
    *cases_gcp.cases(),
    *cases_azure.cases(),
    *cases_interruption.cases(),
    *cases_this_host.cases(),
    *cases_stopped.cases(),
    *cases_stop.cases(),
    *cases_connection.cases(),
    *cases_boot.cases(),
    *cases_payload.cases(),
    *cases_hostile.cases(),
    *cases_seeded.cases(),
)
REFUSALS: tuple[Refusal, ...] = tuple(refusals())
"""Those of the refusals, which are played in the test's own process."""
ROWS: tuple[tuple[str, str], ...] = tuple(
    dict.fromkeys(
        [*((case.where, case.row or case.fault) for case in CASES)]
        + [(case.where, case.row) for case in REFUSALS]
    )
)
"""The lines of the page: where, and what goes wrong. Many cases may share one."""

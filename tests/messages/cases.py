"""All cases, by theme; `catalogue` plays them."""

from __future__ import annotations

from tests.messages import cases_config, cases_nodes, cases_payload, cases_plugins, cases_state
from tests.messages.catalogue import Case

CASES: list[Case] = [
    *cases_config.CASES,
    *cases_plugins.CASES,
    *cases_payload.CASES,
    *cases_nodes.CASES,
    *cases_state.CASES,
]

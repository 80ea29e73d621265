"""What is asked for, as data."""

from __future__ import annotations

from spotdeploy import labels
from spotdeploy_azure.request import group_name, shutdown_time


def test_a_time_of_day_never_ends_a_node_before_its_time() -> None:
    assert shutdown_time(86399, 0.0) == "2359"
    assert shutdown_time(59, 86400.0) == "0000"
    assert shutdown_time(86400, 0.0) is None


def test_the_name_of_a_group_is_cut_where_it_is_not_unique() -> None:
    run = "20260101-120000-abc123"
    long = group_name({labels.DEPLOYMENT: "d" * 40, labels.RUN: run}, "southafricanorthwest")
    assert len(long) == 90
    assert long.endswith(f"-{run}-southafricanorthwest")

"""Listings are followed to their last page."""

from __future__ import annotations

import pytest

from spotdeploy.errors import ProviderError
from spotdeploy_libcloud.paging import all_pages

PAGES = {None: (["a", "b"], "2"), "2": ([], "3"), "3": (["c"], None)}


def test_all_pages_are_read_in_order_empty_ones_too() -> None:
    assert all_pages(PAGES.__getitem__, "ListThings") == ["a", "b", "c"]


def test_an_empty_cursor_ends_the_listing() -> None:
    assert all_pages(lambda _: (["a"], ""), "ListThings") == ["a"]


def test_a_listing_that_never_ends_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spotdeploy_libcloud.paging.MAX_PAGES", 3)
    with pytest.raises(ProviderError, match="ListThings: more than 3 pages"):
        all_pages(lambda _: (["a"], "again"), "ListThings")

"""Answers that are kept for a while."""

from __future__ import annotations

from pathlib import Path

import pytest

from spotdeploy_libcloud.cache import Cache, user_cache


class Clock:
    """A clock that is moved by hand."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_a_kept_value_is_given_back_until_it_is_too_old(tmp_path: Path) -> None:
    clock = Clock()
    cache = Cache(tmp_path / "new" / "folder", 10, clock)
    assert cache.get("image") is None
    cache.put("image", {"id": "ami-1"})
    clock.now += 9.9
    assert cache.get("image") == {"id": "ami-1"}
    clock.now += 0.1
    assert cache.get("image") is None


def test_a_value_from_the_future_is_not_believed(tmp_path: Path) -> None:
    Cache(tmp_path, 10, Clock(1000)).put("image", {"id": "ami-1"})
    assert Cache(tmp_path, 10, Clock(900)).get("image") is None


def test_a_forgotten_value_is_gone_and_forgetting_twice_is_success(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 10)
    cache.put("image", {"id": "ami-1"})
    cache.forget("image")
    cache.forget("image")
    assert cache.get("image") is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"at": 1}', '{"at": "x", "value": {}, "name": 1}']
)
def test_a_broken_file_is_a_miss(tmp_path: Path, text: str) -> None:
    cache = Cache(tmp_path, 10)
    cache.put("image", {"id": "ami-1"})
    (file,) = tmp_path.iterdir()
    file.write_text(text)
    assert cache.get("image") is None


def test_a_folder_that_cannot_be_written_costs_only_speed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "folder", 10)
    cache.put("image", {"id": "ami-1"})
    assert cache.get("image") is None


def test_the_users_cache_is_in_the_users_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    user_cache("images", 10).put("image", {"id": "ami-1"})
    assert len(list((tmp_path / "spotdeploy" / "images").iterdir())) == 1


def test_a_remembered_value_is_made_once_until_it_is_forgotten(tmp_path: Path) -> None:
    cache, made = Cache(tmp_path, 10), iter(["first", "second"])

    def make() -> dict[str, str]:
        return {"id": next(made)}

    assert cache.remember("image", make) == {"id": "first"}
    assert cache.remember("image", make) == {"id": "first"}
    cache.forget("image")
    assert cache.remember("image", make) == {"id": "second"}

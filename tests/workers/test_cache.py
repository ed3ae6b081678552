"""Files that are fetched before they are played, and the folder that keeps them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.errors import MediaError
from penstock.workers.cache import Cache, TooLarge
from penstock.workers.remote import Meter
from tests.workers.kit import Web, client, no_sleep


def cache_in(folder: Path | str, most: int = 100_000) -> Cache:
    return Cache(str(folder), most, client(), Meter(), no_sleep)


def test_second_one_finds_what_the_first_one_fetched(web: Web, tmp_path: Path) -> None:
    url = web.add("a", b"x" * 10_000)
    for _ in range(2):
        with cache_in(tmp_path).fetch(url) as file:
            assert file.read() == b"x" * 10_000
    assert len(list(tmp_path.iterdir())) == 1


def test_changed_file_is_another_one(web: Web, tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    url = web.add("a", b"old")
    cache.fetch(url).close()
    web.add("a", b"new")
    web.etag = '"two"'
    with cache.fetch(url) as file:
        assert file.read() == b"new"


def test_what_was_not_used_for_longest_goes_first_and_stays_readable(web: Web, tmp_path: Path) -> None:
    cache = cache_in(tmp_path, most=30_000)
    held = cache.fetch(web.add("a", b"a" * 10_000))
    times = {}
    for number, path in enumerate(tmp_path.iterdir()):
        os.utime(path, (number, number))
        times[path] = number
    for name in "bcd":
        cache.fetch(web.add(name, name.encode() * 10_000)).close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 30_000
    with held:
        assert held.read() == b"a" * 10_000


def test_file_that_does_not_fit_is_not_fetched(web: Web, tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="has 20000 bytes; 10000 may be kept"):
        cache_in(tmp_path, most=10_000).fetch(web.add("a", b"x" * 20_000))
    web.has_ranges = web.tells_size = False
    with pytest.raises(TooLarge, match="its server does not tell its size"):
        cache_in(tmp_path).fetch(web.add("a", b"x"))
    assert not list(tmp_path.iterdir())


def test_broken_download_goes_on_and_leaves_nothing_half(web: Web, tmp_path: Path) -> None:
    url = web.add("a", b"0123456789" * 5_000)
    web.breaks_after = [20_000]
    cache = cache_in(tmp_path)
    with cache.fetch(url) as file:
        assert file.read() == b"0123456789" * 5_000
    web.breaks_after = [20_000]
    changing = web.add("b", b"y" * 50_000)

    def change(_: float) -> None:
        web.etag = '"two"'

    with pytest.raises(MediaError, match="changed"):
        Cache(str(tmp_path), 100_000, client(), Meter(), change).fetch(changing)
    assert len(list(tmp_path.iterdir())) == 1


def test_progress_is_told(web: Web, tmp_path: Path) -> None:
    meter = Meter()
    Cache(str(tmp_path), 100_000, client(), meter, no_sleep).fetch(web.add("a", b"x" * 70_000)).close()
    assert (meter.fetched_bytes, meter.fetch_size_bytes) == (70_000, 70_000)


def test_without_a_folder_nothing_is_kept(web: Web) -> None:
    with cache_in("", 0).fetch(web.add("a", b"x" * 70_000)) as file:
        assert file.read() == b"x" * 70_000


def test_file_fetched_ahead_is_there_when_it_is_wanted(web: Web, tmp_path: Path) -> None:
    web.etag = ""  # so that each fetch would be another download
    cache = cache_in(tmp_path)
    url = web.add("a", b"x" * 10_000)
    cache.fetch_ahead(url)
    cache.fetch_ahead(url)
    with cache.fetch(url) as file:
        assert file.read() == b"x" * 10_000
    assert cache._meter.bytes_in == 10_000


def test_file_that_changed_since_it_was_fetched_ahead_is_fetched_again(web: Web, tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    url = web.add("a", b"old")
    cache.fetch_ahead(url)
    assert cache._ahead is not None
    cache._ahead._thread.join(10)
    web.add("a", b"newer")
    web.etag = '"two"'
    with cache.fetch(url) as file:
        assert file.read() == b"newer"


def test_what_fails_ahead_fails_when_it_is_wanted(web: Web, tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    cache.fetch_ahead(f"{web.url}/gone")
    with pytest.raises(MediaError, match="404"):
        cache.fetch(f"{web.url}/gone")
    other = web.add("b", b"y")
    cache.fetch_ahead(f"{web.url}/gone")
    cache.fetch_ahead(other)
    with cache.fetch(other) as file:
        assert file.read() == b"y"

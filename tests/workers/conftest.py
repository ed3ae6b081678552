"""Fixtures of the relay workers' tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workers.kit import Sample, Web, sample_bytes, serving


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        yield web


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Return the bytes of a generated file; each is made once."""
    folder: Path = tmp_path_factory.mktemp("samples")

    def made(**what: Any) -> bytes:
        return sample_bytes(Sample(**what), folder)

    return made

"""The fuzzers' corpus is replayed: inputs that reach far, and every input that once was a finding."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import targets
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
INPUTS = sorted(CORPUS.glob("*/*"))
LARGEST = 4096
MOST = 60


@pytest.fixture(autouse=True, scope="module")
def shared() -> Iterator[None]:
    yield
    targets.close()


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_nothing_in_the_corpus_breaks_its_target(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_nor_does_what_is_a_step_away_from_it(path: Path) -> None:
    """Each input cut short, and with bytes changed, some thirty times over."""
    dice, data, target = random.Random(path.name), path.read_bytes(), TARGETS[path.parent.name]
    for _ in range(10):
        target(data[: dice.randrange(len(data) + 1)])
        for _ in range(2):
            changed = bytearray(data)
            for _ in range(dice.randint(1, 4)):
                changed[dice.randrange(len(changed))] = dice.randrange(256)
            target(bytes(changed))


def test_every_target_has_a_corpus_and_it_is_small() -> None:
    assert {path.parent.name for path in INPUTS} == set(TARGETS)
    assert max(path.stat().st_size for path in INPUTS) <= LARGEST
    for name in TARGETS:
        assert 5 <= sum(path.parent.name == name for path in INPUTS) <= MOST

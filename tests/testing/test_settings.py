"""Settings for a server under test: merged, and written so that the server reads the same."""

from __future__ import annotations

import tomllib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from penstock.config import load
from penstock.testing.settings import DEFAULTS, as_toml, merged

VALUES = st.recursive(
    st.text() | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_what_is_written_as_toml_is_read_the_same(settings: dict[str, object]) -> None:
    assert tomllib.loads(as_toml(settings)) == settings


def test_a_section_is_changed_key_by_key_and_a_list_as_a_whole() -> None:
    first = merged(DEFAULTS, {"media": {"idle_timeout_s": 2}, "account": [{"id": "8"}]})
    found = merged(first, {"media": {"latency": "max"}, "account": [{"id": "9"}], "data_dir": Path("here")})
    assert found["media"] == {**DEFAULTS["media"], "idle_timeout_s": 2, "latency": "max"}
    assert found["account"] == [{"id": "9"}]
    assert tomllib.loads(as_toml(found))["data_dir"] == "here"
    assert merged(DEFAULTS, {}) == DEFAULTS


def test_the_defaults_open_every_door_at_a_port_that_is_free(tmp_path: Path) -> None:
    file = tmp_path / "penstock.toml"
    file.write_text(as_toml(DEFAULTS))
    config = load(file, {})
    for section in (config.api, config.media):
        doors = {name: getattr(section, name) for name in section.__struct_fields__ if name.endswith("listen")}
        assert doors == dict.fromkeys(doors, "127.0.0.1:0")
        assert len(doors) > 1

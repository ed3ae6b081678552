"""What the SDK's tests share: a cloud in memory, and no keys but the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sdk.cloud import Cloud

KEYS = ("KS_ACCESS_KEY_ID", "KS_SECRET_ACCESS_KEY", "VOLC_ACCESSKEY", "VOLC_SECRETKEY")


@pytest.fixture(autouse=True)
def nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Take the machine's own keys and proxies away."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "KSC_CONFIG", *KEYS):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()

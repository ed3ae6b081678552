"""What holds for all tests: the same examples each time, however slow the machine is."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("penstock", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("penstock")

"""Settings of the property tests: no limit of time, since tests must not depend on how fast the machine is."""

from hypothesis import HealthCheck, settings

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

"""Most attacks are checked in L1 and L0 by the slow tests only: what differs there is shared by all of them."""

import pytest

from bench_core.testing.attack_case import AttackCase

BY_DEFAULT = {"pgd", "mi", "ddn", "fmn", "sigma_zero", "carlini_wagner", "deepfool", "noise", "gaussian"}


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what is slow
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        case, _rule = parameters.get("bench_rule", (None, None))
        if isinstance(case, AttackCase) and case.norm in ("l1", "l0") and case.offer.name not in BY_DEFAULT:
            item.add_marker(pytest.mark.slow)

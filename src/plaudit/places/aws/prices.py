"""What AWS asks, in US dollars: list prices of us-east-1, written down so that a plan calls nothing.

Other regions differ by up to half as much again; free tiers and savings plans are not counted.
"""

from __future__ import annotations

AS_OF = "2026-11"
HOURS = 730
"""A month, as AWS counts it."""

INSTANCES: dict[str, tuple[float, frozenset[str]]] = {
    name: (price, frozenset(uses.split()))
    for name, price, uses in (
        ("ml.t3.medium", 0.05, "training"),
        ("ml.t2.medium", 0.056, "hosting"),
        ("ml.t2.large", 0.111, "hosting"),
        ("ml.c5.large", 0.102, "hosting"),
        ("ml.c5.xlarge", 0.204, "training hosting transform"),
        ("ml.c5.2xlarge", 0.408, "training hosting transform"),
        ("ml.c5.4xlarge", 0.816, "training hosting transform"),
        ("ml.c6i.large", 0.102, "hosting"),
        ("ml.c6i.xlarge", 0.204, "training hosting"),
        ("ml.c6i.2xlarge", 0.408, "training hosting"),
        ("ml.m5.large", 0.115, "training hosting transform"),
        ("ml.m5.xlarge", 0.23, "training hosting transform"),
        ("ml.m5.2xlarge", 0.461, "training hosting transform"),
        ("ml.m5.4xlarge", 0.922, "training hosting transform"),
        ("ml.g4dn.xlarge", 0.7364, "training hosting transform"),
        ("ml.g5.xlarge", 1.408, "training hosting"),
        ("ml.g5.2xlarge", 1.515, "training hosting"),
        ("ml.g6.xlarge", 1.1267, "training hosting"),
        ("ml.p3.2xlarge", 3.825, "training hosting transform"),
    )
}
SERVERLESS_SECOND = {1024: 0.00002, 2048: 0.00004, 3072: 0.00006, 4096: 0.00008, 5120: 0.0001, 6144: 0.00012}
"""A serverless endpoint's second of work, by its megabytes."""
SERVERLESS_GB = 0.016
LAMBDA_GB_SECOND = {"x86_64": 0.0000166667, "aarch64": 0.0000133334}
LAMBDA_MILLION = 0.20
SNAPSTART_GB_SECOND = 0.0000015046
"""Keeping a SnapStart snapshot, for every second that its version exists."""
HTTP_API_MILLION = 1.00
LOG_GB = 0.50
LOG_GB_MONTH = 0.03
OBJECT_WRITES_MILLION = 5.00
ALARM_MONTH = 0.10
STORAGE_GB_MONTH = 0.023


def hourly(instance: str, use: str) -> float | None:
    """US dollars an hour of an instance for `training`, `hosting` or `transform`; None where it is not in the table."""
    price, uses = INSTANCES.get(instance, (0.0, frozenset()))
    return price if use in uses else None


def dollars(amount: float) -> str:
    """An amount as it is shown: cents, and more digits only where there is less than a cent."""
    if amount == 0:
        return "$0"
    return f"${amount:,.2f}" if amount >= 0.01 else f"${amount:.6f}".rstrip("0")

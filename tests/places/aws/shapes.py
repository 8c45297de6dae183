"""AWS's own model of a request: what botocore checks before it sends one, and the limits that only AWS checks."""

from __future__ import annotations

import re
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

_session = botocore.session.get_session()


def assert_valid(service: str, operation: str, request: dict[str, Any]) -> None:
    """Holds ``request`` against the service's model: names, types, lengths, patterns, choices."""
    shape = _session.get_service_model(service).operation_model(operation).input_shape
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()
    _check(request, shape, operation)


def _check(value: Any, shape: Any, where: str) -> None:
    limits = shape.metadata
    if shape.type_name == "structure":
        for name, part in value.items():
            _check(part, shape.members[name], f"{where}.{name}")
    elif shape.type_name == "list":
        assert limits.get("min", 0) <= len(value) <= limits.get("max", len(value)), where
        for part in value:
            _check(part, shape.member, f"{where}[]")
    elif shape.type_name == "map":
        assert len(value) <= limits.get("max", len(value)), where
        for key, part in value.items():
            _check(key, shape.key, f"{where} key")
            _check(part, shape.value, f"{where}.{key}")
    elif shape.type_name == "string":
        assert limits.get("min", 0) <= len(value) <= limits.get("max", len(value)), f"{where}: {value}"
        assert not limits.get("enum") or value in limits["enum"], f"{where}: {value}"
        if "pattern" in limits and r"\p{" not in limits["pattern"]:
            assert re.fullmatch(limits["pattern"], value, re.DOTALL), f"{where}: {value}"

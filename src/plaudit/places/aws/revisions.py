"""What has been deployed under a name, so that it can be gone back to: a ledger and its templates in the bucket."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from plaudit.places.aws.names import Name
from plaudit.places.aws.storage import Storage
from plaudit.places.aws.template import ENDING

KEPT = 5
"""Revisions that can be gone back to."""


@dataclass(frozen=True)
class Revision:
    """One template that has been applied, with the keys of its parts; ``about`` says what of.

    ``days`` is for how long its objects are kept where it deletes itself.
    """

    number: int
    when: str
    template: str
    keys: tuple[str, ...]
    about: str
    days: int | None = None


@dataclass(frozen=True)
class Ledger:
    """The revisions of one name."""

    storage: Storage
    name: Name

    def revisions(self) -> list[Revision]:
        """Those that can be gone back to, oldest first; the last one is current."""
        if not self.storage.has(self._key):
            return []
        found = json.loads(self.storage.get(self._key))
        return [Revision(**{**entry, "keys": tuple(entry["keys"])}) for entry in found]

    def template(self, revision: Revision) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.storage.get(revision.template))
        return found

    def remember(self, made: Revision, template: dict[str, Any]) -> int:
        """Notes what has been applied; its number. The same again, but for its end, is the same revision."""
        revisions = self.revisions()
        if revisions and _lasting(self.template(revisions[-1])) == _lasting(template):
            if revisions[-1].days != made.days:
                self.write([*revisions[:-1], replace(revisions[-1], days=made.days)])
            return revisions[-1].number
        number = revisions[-1].number + 1 if revisions else 1
        key = f"{self.name.prefix}templates/{number}.json"
        self.storage.put(key, json.dumps(template, indent=1).encode())
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        self.write([*revisions, replace(made, number=number, when=now, template=key)][-KEPT:])
        return number

    def write(self, revisions: list[Revision]) -> None:
        """Keeps ``revisions``, and removes the parts that none of them uses."""
        self.storage.put(self._key, json.dumps([asdict(entry) for entry in revisions], indent=1).encode())
        used = {key for entry in revisions for key in (entry.template, *entry.keys)}
        for part in ("function", "archive", "templates"):
            for found in self.storage.keys(f"{self.name.prefix}{part}/"):
                if found.key not in used:
                    self.storage.remove(found.key)

    @property
    def _key(self) -> str:
        return f"{self.name.prefix}revisions.json"


def _lasting(template: dict[str, Any]) -> dict[str, Any]:
    """A template without the moment when it ends."""
    resources, outputs = {**template["Resources"], ENDING: None}, {**template["Outputs"], "Ends": None}
    return {**template, "Resources": resources, "Outputs": outputs}

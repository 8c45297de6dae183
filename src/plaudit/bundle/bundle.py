"""The bundle on disk: a folder a person can read, written whole and verified byte by byte. No pickles.

card.json             what it is and how good it is
vocabulary.txt        one word a line; the line's number, from 0, is the id
weights.safetensors   the network's weights as torch names them
network.onnx          the same network, for scoring; it points to the embedding in weights.safetensors
manifest.json         size and sha256 of every file; written last, so its presence means complete
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plaudit.bundle.card import Card
from plaudit.errors import BundleError, UsageError
from plaudit.text.vocabulary import Vocabulary
from plaudit.version import __version__

FORMAT = 2
SHIPPED = Path(__file__).parents[1] / "shipped" / "bundle"
"""The bundle that comes with Plaudit."""
MANIFEST = "manifest.json"
CARD, VOCABULARY, WEIGHTS, NETWORK = "card.json", "vocabulary.txt", "weights.safetensors", "network.onnx"
FILES = (CARD, VOCABULARY, WEIGHTS, NETWORK)


@dataclass(frozen=True)
class Bundle:
    """A verified bundle. ``network`` is ONNX, ``weights`` safetensors, both as the files' bytes."""

    card: Card
    vocabulary: Vocabulary
    weights: bytes
    network: bytes
    path: Path | None = None

    def save(self, path: Path) -> Bundle:
        """Writes the folder beside ``path`` and then puts it there, so that a stop leaves the old one or the new.

        Raises UsageError where ``path`` holds anything but a bundle: nothing of anybody else's is replaced.
        """
        path = free_for_a_bundle(path)
        fresh, old = _beside(path, "new"), _beside(path, "old")
        if not path.exists() and (old / MANIFEST).exists():
            old.rename(path)
        _remove(fresh)
        fresh.mkdir(parents=True)
        _write_json(fresh / CARD, self.card.to_json())
        self.vocabulary.save(fresh / VOCABULARY)
        (fresh / WEIGHTS).write_bytes(self.weights)
        (fresh / NETWORK).write_bytes(self.network)
        _write_manifest(fresh)
        if path.exists():
            _remove(old)
            path.rename(old)
        fresh.rename(path)
        _remove(old)
        return Bundle(self.card, self.vocabulary, self.weights, self.network, path)

    @classmethod
    def load(cls, path: str | Path) -> Bundle:
        """The bundle at ``path``. Raises BundleError, one sentence that names the file that is wrong.

        What is used is what was checked: every file is read once.
        """
        folder = Path(path)
        old = _beside(folder.resolve(), "old")
        # A stop between save's two renames leaves the bundle that was there before under another name.
        content = _verified(old if not folder.exists() and (old / MANIFEST).exists() else folder)
        try:
            card = Card.from_json(json.loads(content[CARD]))
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{folder / CARD} is not a card: {error}") from None
        try:
            vocabulary = Vocabulary.parse(content[VOCABULARY].decode("utf-8"))
        except ValueError as error:
            raise BundleError(f"{folder / VOCABULARY}: {error}") from None
        return cls(card, vocabulary, content[WEIGHTS], content[NETWORK], folder)


def _beside(path: Path, what: str) -> Path:
    """Where `save` keeps the new or the old bundle for a moment: a hidden name that is Plaudit's own."""
    return path.with_name(f".{path.name}.plaudit-{what}")


def _remove(folder: Path) -> None:
    """Removes a bundle that `save` left, file by file: a folder that holds anything else stays."""
    if folder.exists():
        free_for_a_bundle(folder)
        shutil.rmtree(folder)


def free_for_a_bundle(path: Path) -> Path:
    """``path`` as an absolute one, if a bundle may be written there. Raises UsageError where something else is."""
    path = path.resolve()
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file: name a folder for the bundle")
    strange = (
        sorted(entry.name for entry in path.iterdir() if entry.name not in (*FILES, MANIFEST)) if path.exists() else []
    )
    if strange:
        raise UsageError(f"{path} holds {strange[0]}, which is not a bundle's: name another folder")
    return path


def _verified(folder: Path) -> dict[str, bytes]:
    """Every file's bytes, equal to what the manifest says."""
    entries = _manifest(folder)
    content = {}
    for name in FILES:
        path, entry = folder / name, entries.get(name)
        if not isinstance(entry, Mapping):
            raise BundleError(f"{folder / MANIFEST} does not list {name}: the bundle is not complete")
        try:
            content[name] = path.read_bytes()
        except OSError:
            raise BundleError(f"{path} is missing: copy the whole bundle, or train it again") from None
        if len(content[name]) != entry.get("size") or _sha256(content[name]) != entry.get("sha256"):
            raise BundleError(f"{path} is not the file that was saved: copy the bundle again, or train it again")
    return content


def _manifest(folder: Path) -> Mapping[str, Any]:
    if not folder.is_dir():
        raise BundleError(f"{folder}: there is no bundle; make one with: plaudit train sample --out {folder}")
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        wanted, made_by, entries = int(manifest["format"]), str(manifest["plaudit"]), manifest["files"]
    except OSError:
        raise BundleError(f"{folder} has no {MANIFEST}: it is not a bundle, or it was never finished") from None
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise BundleError(f"{folder / MANIFEST} is not a manifest: copy the bundle again") from None
    if wanted > FORMAT:
        raise BundleError(
            f"{folder} was made by Plaudit {made_by} in format {wanted}, and this is Plaudit"
            f" {__version__}, which reads up to {FORMAT}: pip install --upgrade plaudit"
        )
    if wanted < FORMAT:
        raise BundleError(
            f"{folder} was made by Plaudit {made_by} in format {wanted}, which {__version__} no longer reads:"
            " train it again"
        )
    if not isinstance(entries, Mapping):
        raise BundleError(f"{folder / MANIFEST} is not a manifest: copy the bundle again")
    return entries


def _write_manifest(folder: Path) -> None:
    entries = {}
    for name in FILES:
        content = (folder / name).read_bytes()
        entries[name] = {"size": len(content), "sha256": _sha256(content)}
    _write_json(folder / MANIFEST, {"format": FORMAT, "plaudit": __version__, "files": entries})


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

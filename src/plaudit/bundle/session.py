"""A bundle's network as what scores ids: Plaudit's own functions, else an ONNX Runtime session. Knows no texts.

The network may point to tensors of weights.safetensors, so that a large table lies on disk once. They are taken from
the bytes that the manifest vouched for; no other file is ever read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plaudit.bundle.bundle import NETWORK, VOCABULARY, WEIGHTS, Bundle
from plaudit.bundle.compiled_kernel import library
from plaudit.bundle.pointers import files_pointed_to
from plaudit.bundle.recurrence import Recurrence
from plaudit.bundle.weights import EMBEDDING, SCALE, Weights
from plaudit.errors import BundleError
from plaudit.text.encoding import pad

if TYPE_CHECKING:
    import onnxruntime

KINDS = {"F32": np.float32, "F16": np.float16, "I8": np.int8}
Scorer = Callable[[Sequence[Sequence[int]]], Sequence[NDArray[np.float32]]]
"""From rows of ids to each row's evidence (ids or more, units)."""


def scorer(bundle: Bundle) -> Scorer:
    """What scores ``bundle``'s ids fastest here. Raises BundleError, one sentence, for what Plaudit did not make."""
    found = _own(bundle)
    if found is not None:
        _made_here(bundle)
        return found
    session = open_session(bundle)
    return lambda rows: session.run(None, {"ids": pad(rows)})[0]


def _own(bundle: Bundle) -> Scorer | None:
    """Plaudit's own way with the weights; None where ONNX Runtime is faster, or has to say what is wrong with them."""
    stored, last = tensors(bundle), bundle.vocabulary.size - 1
    found: Scorer
    try:
        if stored.keys() == {EMBEDDING}:
            table = stored[EMBEDDING].astype(np.float32, copy=False)
            words, found = len(table), lambda rows: [table[np.asarray(row, np.int64)] for row in rows]
        else:
            functions = library()
            if functions is None and find_spec("onnxruntime"):
                return None
            weights = Weights.of(stored)
            words, found = len(weights.table), Recurrence(weights, functions)
        return found if words == last + 1 and _sound(found([[last]])[0], bundle) else None
    except (KeyError, ValueError, IndexError, TypeError):
        return None  # the tensors of another network


def _sound(evidence: NDArray[np.float32], bundle: Bundle) -> bool:
    return evidence.shape == (1, len(bundle.card.biases)) and bool(np.isfinite(evidence).all())


def _network(bundle: Bundle) -> Path:
    return bundle.path / NETWORK if bundle.path else Path(NETWORK)


def _made_here(bundle: Bundle) -> None:
    name = _network(bundle)
    try:
        others = files_pointed_to(bundle.network) - {WEIGHTS.encode()}
    except ValueError as error:
        raise BundleError(f"{name} is not a network ({error})") from None
    if others:
        raise BundleError(f"{name} points to other files: it is not a network that Plaudit made")


def open_session(bundle: Bundle) -> onnxruntime.InferenceSession:
    """The session, tried once. Raises BundleError, one sentence, for what is not a network that Plaudit made."""
    _made_here(bundle)
    name = _network(bundle)
    try:
        import onnxruntime
    except ImportError:
        why = f"{name.with_name(WEIGHTS)} holds no network that Plaudit trains: train it again"
        raise BundleError(f"{why}, or let ONNX Runtime try: pip install 'plaudit[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # an LSTM's steps are too short to share out
    options.log_severity_level = 4
    shared = {key: value for key, value in tensors(bundle).items() if key in SHARED}
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in shared.values()]
    options.add_external_initializers(list(shared), values)
    try:
        session = onnxruntime.InferenceSession(bundle.network, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own errors share no root but this one
        raise BundleError(f"{name} is not a network ({str(error).splitlines()[0]})") from None
    _tried(session, bundle, name)
    return session


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


SHARED = (EMBEDDING, SCALE)
"""The tensors of weights.safetensors that a network points to."""


def _tried(session: onnxruntime.InferenceSession, bundle: Bundle, name: Path) -> None:
    taken, given = ([entry.name for entry in entries] for entries in (session.get_inputs(), session.get_outputs()))
    if (taken, given) != (["ids"], ["evidence"]):
        raise BundleError(f"{name} does not turn ids into evidence: it is not a network that Plaudit made")
    try:
        (evidence,) = session.run(None, {"ids": pad([[bundle.vocabulary.size - 1]])})
    except Exception as error:
        why = str(error).splitlines()[0]
        raise BundleError(f"{name} does not know every word of {VOCABULARY}: they are of two bundles ({why})") from None
    if len(evidence) != 1 or not _sound(evidence[0], bundle):
        raise BundleError(f"{name} gives no evidence for a word: it is not a network that Plaudit made")


def tensors(bundle: Bundle) -> dict[str, NDArray[np.generic]]:
    """The tensors of weights.safetensors by name. Raises BundleError where the file is not one.

    The format is the length of a JSON header in 8 bytes, the header, and the tensors' bytes one after another.
    """
    content = memoryview(bundle.weights)
    start = 8 + int.from_bytes(content[:8], "little")
    found: dict[str, NDArray[np.generic]] = {}
    try:
        header = json.loads(bytes(content[8:start]))
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                flat = np.frombuffer(content[start + begin : start + end], KINDS[entry["dtype"]])
                found[name] = flat.reshape(entry["shape"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        name = bundle.path / WEIGHTS if bundle.path else Path(WEIGHTS)
        raise BundleError(f"{name} does not hold weights ({error}): copy the bundle again, or train it again") from None
    return found

"""Whether an archive will answer on AWS, found out here: its files, its bundle, its code, its wheels, its size.

It asks nobody. What only running the archive's code can tell is found out in a process of its own, with nothing
but Python's standard library, the archive and an empty environment.
"""

from __future__ import annotations

import ast
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from plaudit.bundle.bundle import FILES, MANIFEST, Bundle
from plaudit.errors import BundleError
from plaudit.places.aws.archive import LIBRARY, REQUIREMENTS
from plaudit.places.aws.images import IMAGES
from plaudit.places.aws.limits import FUNCTION_UNZIPPED, REAL_TIME_VOLUME, SERVERLESS_DISK, shown
from plaudit.places.aws.unpacking import unpack

State = Literal["sound", "note", "wrong"]
LAYOUT = (*FILES, MANIFEST, "config.yaml", "code/inference.py", "code/plaudit_path.py")
HANDLERS = {"model_fn": 1, "input_fn": 2, "predict_fn": 2, "output_fn": 2}
"""What SageMaker's toolkit calls, and with how many arguments; one more, its context, may be taken."""
GLIBC = (2, 34)
"""Amazon Linux 2023's, which AWS's images stand on."""
MACHINE = "x86_64"
"""AWS's Ray images are for no other."""
TEXT = "A wonderful film."
SECONDS = 60
AGAIN = "plaudit pack makes the archive again"
PROBE = f"""
import json, sys
sys.path.insert(0, sys.argv[1] + "/code")
import inference
model = inference.model_fn(sys.argv[1])
asked = inference.input_fn({TEXT.encode()!r}, "text/plain")
given = inference.output_fn(inference.predict_fn(asked, model), "application/json")
print(json.dumps(json.loads(given)))
"""
Made = tuple[str, str]
"""A Python such as 3.13, and a machine such as x86_64."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what was found and, where it is not sound, what to do about it."""

    check: str
    state: State
    what: str


@dataclass(frozen=True)
class Inspection:
    """All that was found in an archive. It is sound where nothing is wrong; a note is for its reader to judge."""

    path: Path
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        return all(finding.state != "wrong" for finding in self.findings)

    @property
    def verdict(self) -> str:
        """Whether it is sound, and how far that was found out."""
        if not self.sound:
            return "not sound"
        ran = any(finding.check == "answer" and finding.state == "sound" for finding in self.findings)
        return "sound" if ran else "sound, as far as it was looked at; its code was not run"

    def to_json(self) -> dict[str, Any]:
        findings = [asdict(finding) for finding in self.findings]
        return {"path": str(self.path), "sound": self.sound, "findings": findings}


def inspect(path: Path, run: bool = True) -> Inspection:
    """Looks at the archive at ``path``; whatever it holds, findings are all that comes of it.

    Its code runs only with ``run``, and only where there is a Python here that its wheels are for.
    """
    with tempfile.TemporaryDirectory(prefix="plaudit-doctor-") as scratch:
        folder = Path(scratch)
        try:
            sizes = unpack(path, folder)
        except BundleError as error:
            cure = "; copy it again, or pack it again" if path.exists() else ""
            return Inspection(path, (Finding("archive", "wrong", f"{error}{cure}"),))
        files = "1 file" if len(sizes) == 1 else f"{len(sizes):,} files"
        found = [Finding("archive", "sound", f"{files}, {shown(sum(sizes.values()))} unpacked")]
        found += [*_layout(folder, sizes), *_bundle(folder), *_sizes(sizes)]
        if all(finding.state != "wrong" for finding in found):
            made, wheels = _wheels(folder)
            found += [*_handlers(folder), wheels]
            if all(finding.state != "wrong" for finding in found):
                found.append(_answer(folder, made) if run else Finding("answer", "note", "its code was not run"))
    return Inspection(path, tuple(found))


def _layout(folder: Path, sizes: Mapping[str, int]) -> Iterable[Finding]:
    missing = [name for name in LAYOUT if name not in sizes]
    tops = {name.split("/")[0] for name in sizes}
    top = tops.pop() if len(tops) == 1 else ""
    inside = {name.removeprefix(f"{top}/") for name in sizes}
    if inside.issuperset((*FILES, MANIFEST)) and not any(name.startswith("code/") for name in inside):
        wrong = "a bundle, without the code that answers with it: plaudit pack makes the archive of the bundle's folder"
        return [Finding("layout", "wrong", wrong)]
    if missing and f"{top}/{MANIFEST}" in sizes:
        wrong = f"everything lies in the folder {top}: SageMaker looks at the root; tar -C {top} -czf model.tar.gz ."
        return [Finding("layout", "wrong", wrong)]
    if missing:
        return [Finding("layout", "wrong", f"{', '.join(missing)} missing: {AGAIN}")]
    named = re.search(r"import_path: *[\"']?([\w.]+):\w+", (folder / "config.yaml").read_text("utf-8", "replace"))
    module = f"{named[1].replace('.', '/')}.py" if named else ""
    if module not in sizes:
        return [Finding("layout", "wrong", f"config.yaml names no module that is there: {AGAIN}")]
    found = [Finding("layout", "sound", "bundle, handlers and the Ray Serve application are where they are looked for")]
    if REQUIREMENTS in sizes:
        installs = f"{REQUIREMENTS} has the image install packages at its start: that needs internet there"
        found.append(Finding("layout", "note", f"{installs}; plaudit pack without --no-wheels brings them along"))
    return found


def _bundle(folder: Path) -> Iterable[Finding]:
    try:
        bundle = Bundle.load(folder)
    except BundleError as error:
        return [Finding("bundle", "wrong", str(error).replace(f"{folder}/", "").replace(str(folder), "the archive"))]
    return [Finding("bundle", "sound", f"{bundle.card.name}: every file is the one that was saved")]


def _sizes(sizes: Mapping[str, int]) -> Iterable[Finding]:
    total = sum(sizes.values())
    for limit, state in ((SERVERLESS_DISK, "note"), (REAL_TIME_VOLUME, "wrong"), (FUNCTION_UNZIPPED, "note")):
        refusal = limit.refusal(total)
        fits = f"{shown(total)} unpacked, of {limit}: {limit.name.rstrip(',')}"
        yield Finding("size", state if refusal else "sound", refusal or fits)  # type: ignore[arg-type]


def _handlers(folder: Path) -> Iterable[Finding]:
    wrong = []
    for name, arguments in HANDLERS.items():
        taken = _arguments(folder / "code", folder / "code" / "inference.py", name)
        if taken is None:
            wrong.append(f"code/inference.py has no function {name}: {AGAIN}")
        elif taken not in (arguments, arguments + 1):
            wrong.append(f"{name} takes {taken} arguments, and SageMaker gives {arguments} or {arguments + 1}: {AGAIN}")
    if wrong:
        return [Finding("handlers", "wrong", each) for each in wrong]
    return [Finding("handlers", "sound", f"{', '.join(HANDLERS)} take what SageMaker gives them")]


def _arguments(code: Path, file: Path, name: str, steps: int = 3) -> int | None:
    """How many parameters the function ``name`` of ``file`` has, or of the module that it is imported from."""
    try:
        body = ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and statement.name == name:
            taken = statement.args
            rest = [one for one in (taken.vararg, taken.kwarg) if one]
            return len(taken.posonlyargs) + len(taken.args) + len(taken.kwonlyargs) + len(rest)
        if isinstance(statement, ast.ImportFrom) and statement.module and not statement.level and steps:
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    there = code.joinpath(*statement.module.split(".")).with_suffix(".py")
                    return _arguments(code, there, alias.name, steps - 1)
    return None


def _wheels(folder: Path) -> tuple[Made | None, Finding]:
    """What the wheels in code/lib are made for, where that is one Python and one machine, and what to say of them."""
    tags = {path.parent.name.split("-")[0]: _tags(path) for path in folder.glob("code/lib/*.dist-info/WHEEL")}
    if not tags:
        return None, Finding("wheels", "note", "it brings no wheels: the image has to have what Plaudit stands on")
    missing = sorted({name.lower() for name in LIBRARY} - {name.lower() for name in tags})
    if missing:
        return None, Finding("wheels", "wrong", f"code/lib has no {', '.join(missing)}: {AGAIN}")
    native = {name: [tag for tag in each if tag[2] != "any"] for name, each in tags.items()}
    strange = sorted(name for name, each in native.items() if each and not any(_machine(tag[2]) for tag in each))
    if strange:
        system = "Linux with glibc 2.34 or older, which AWS's images have"
        return None, Finding("wheels", "wrong", f"{', '.join(strange)} in code/lib does not run on {system}: {AGAIN}")
    machines = {machine for each in native.values() for tag in each if (machine := _machine(tag[2]))}
    pythons = {f"3.{tag[1][3:]}" for each in native.values() for tag in each if re.fullmatch(r"cp3\d+", tag[1])}
    if len(machines) != 1 or len(pythons) != 1:
        several = f"Python {' and '.join(sorted(pythons)) or '?'} on {' and '.join(sorted(machines)) or '?'}"
        return None, Finding("wheels", "wrong", f"the wheels in code/lib are for {several}: {AGAIN}")
    made = pythons.pop(), machines.pop()
    return made, _fitting(made)


def _fitting(made: Made) -> Finding:
    serving = [image for image in IMAGES if image.purpose == "serve" and image.accelerator == "cpu"]
    wheels_for = "for Python {} on {}".format(*made)
    names = [image.name for image in serving if image.python == made[0]]
    if names and made[1] == MACHINE:
        return Finding("wheels", "sound", f"{wheels_for}, as in the image {' and '.join(names)}")
    usual = f"plaudit pack --python {serving[0].python} --machine {MACHINE}"
    todo = f"{usual}, or an image of your own from the archive's Dockerfile"
    return Finding("wheels", "note", f"{wheels_for}, which no image of AWS's has: {todo}")


def _tags(wheel: Path) -> list[tuple[str, str, str]]:
    """The tags of a wheel's WHEEL file: Python, ABI and platform."""
    found = re.findall(r"^Tag: (\w+)-(\w+)-(\w+)\s*$", wheel.read_text("utf-8", "replace"), re.MULTILINE)
    return [(python, abi, place) for python, abi, place in found]


def _machine(place: str) -> str | None:
    """The machine of a wheel's platform, where AWS's images have a C library that is new enough for it."""
    if found := re.fullmatch(r"manylinux_(\d+)_(\d+)_(\w+)", place):
        return found[3] if (int(found[1]), int(found[2])) <= GLIBC else None
    found = re.fullmatch(r"manylinux(?:1|2010|2014)_(\w+)", place)
    return found[1] if found else None


def _answer(folder: Path, made: Made | None) -> Finding:
    """What the archive's own handlers answer, in a process that has nothing else."""
    if made is None:
        return Finding("answer", "note", "its code was not run: it counts on what its image has installed")
    python = _python(made)
    if python is None:
        needs = f"that takes Linux on {made[1]}, with python{made[0]} on the PATH"
        return Finding("answer", "note", f"its code was not run: {needs}")
    try:
        done = subprocess.run(
            [python, "-I", "-S", "-B", "-c", PROBE, str(folder)],
            capture_output=True, text=True, errors="replace", env={}, cwd=folder, timeout=SECONDS, check=False,
        )  # fmt: skip
        answer = json.loads(done.stdout.strip().splitlines()[-1])
        told = f"{TEXT!r} is {answer['label']}, {answer['probability']:.4f}"
    except subprocess.TimeoutExpired:
        return Finding("answer", "wrong", f"its code gave no answer within {SECONDS} s: {AGAIN}")
    except (ValueError, LookupError, TypeError):
        why = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1].replace(f"{folder}/", "")
        return Finding("answer", "wrong", f"its code gives no answer in a clean process ({why}): {AGAIN}")
    return Finding("answer", "sound", f"in a clean process with Python {made[0]} and nothing else: {told}")


def _python(made: Made) -> str | None:
    """A Python here that the wheels are for: this one, or one on the PATH."""
    for place in (sys.executable, shutil.which(f"python{made[0]}")):
        if place and sys.platform == "linux" and platform.machine() == made[1]:
            asked = [place, "-I", "-S", "-c", "import sys; print('{}.{}'.format(*sys.version_info))"]
            told = subprocess.run(asked, capture_output=True, text=True, check=False)
            if told.returncode == 0 and told.stdout.strip() == made[0]:
                return place
    return None

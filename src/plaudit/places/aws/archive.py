"""`model.tar.gz`: a bundle with all it needs to answer on AWS's images, without internet, wherever it is unpacked.

card.json … manifest.json   the bundle, at the root
config.yaml                 for Ray Serve: which application, how many replicas
plaudit_ray.py              that application
Dockerfile                  for those who bring their own image
code/inference.py           SageMaker's four handlers
code/plaudit_endpoint.py    the endpoint, for the Dockerfile's image
code/plaudit_path.py        what the three of them share: where code and wheels are
code/plaudit/               Plaudit's own code, as far as scoring and serving need it
code/lib/                   the wheels, unpacked

The wheels come at the end of Python's path: what an image has installed, above all its Ray and what that stands
on, is never replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plaudit.bundle.bundle import FILES, MANIFEST, Bundle
from plaudit.errors import UsageError
from plaudit.places.aws.packing import write_tar_gz
from plaudit.places.aws.parts import SCORING, SERVER, Target, package, pins, unpacked
from plaudit.progress import Track, quiet

USUAL = Target("3.13")
"""The Python and the machine of AWS's Ray images."""
ROOMS = ("text", "bundle", "serving")
LIBRARY = (*SCORING, "anyio", "idna", "starlette", "typing_extensions")
REQUIREMENTS = "code/requirements.txt"
GZIP = b"\x1f\x8b"

CONFIG = """\
# Ray Serve's settings: AWS's image runs `serve run` with this file.
applications:
  - name: plaudit
    route_prefix: /
    import_path: plaudit_ray:app
    deployments:
      - name: Plaudit
        num_replicas: 1
        ray_actor_options:
          num_cpus: 0  # no processor is reserved, so that it starts on the smallest machine too
"""
RAY = '''\
"""The model in this folder as a Ray Serve application: config.yaml names it, and Ray's workers import it."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE / "code"))
import plaudit_path

from plaudit.serving.ray_serve import Replica, application


class Model(Replica):
    bundle = HERE


app = application(Model)
'''
INFERENCE = '''\
"""SageMaker's four handlers for the model in the folder above."""

import plaudit_path

from plaudit.serving.handlers import input_fn, model_fn, output_fn, predict_fn
'''
ENDPOINT = '''\
"""The model in the folder above as an endpoint: `uvicorn plaudit_endpoint:app`."""

import plaudit_path

from plaudit.serving.endpoint import endpoint

app = endpoint(plaudit_path.MODEL)
'''
PATH = '''\
"""Where the code and the wheels are: at the END of Python's path, so that what the image has installed wins."""

import platform
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODEL = HERE.parent
WHEELS_FOR = {wheels_for!r}
RUNNING = "{{}}.{{}}".format(*sys.version_info), platform.machine()

if WHEELS_FOR and WHEELS_FOR != RUNNING:
    raise ImportError(
        "the wheels in {{}} are for Python {{}} on {{}}, and this is Python {{}} on {{}}:"
        " plaudit pack --python {{}} --machine {{}} makes an archive for it".format(
            HERE / "lib", *WHEELS_FOR, *RUNNING, *RUNNING
        )
    )
sys.path += [place for place in (str(HERE), str(HERE / "lib")) if place not in sys.path]
'''
DOCKERFILE = """\
# An image of your own for models that Plaudit packed. SageMaker unpacks model.tar.gz to /opt/ml/model and runs
# `docker run IMAGE serve`; by hand:
#   mkdir model && tar -xzf model.tar.gz -C model
#   docker build --platform {platform} -t plaudit - < model/Dockerfile
#   docker run -p 8080:8080 -v "$PWD/model:/opt/ml/model:ro" plaudit serve
FROM python:{python}-slim
RUN pip install --no-cache-dir {requirements} \\
    && useradd --system --no-create-home plaudit
USER plaudit
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true
EXPOSE 8080
ENTRYPOINT ["/bin/sh", "-c", "exec python -m uvicorn --app-dir /opt/ml/model/code --host 0.0.0.0 \
--port ${{SAGEMAKER_BIND_TO_PORT:-8080}} --lifespan on --log-level warning --timeout-graceful-shutdown 5 \
plaudit_endpoint:app"]
"""


@dataclass(frozen=True)
class Packed:
    """An archive that was written. ``parts`` are the bytes of its parts when unpacked."""

    path: Path
    target: Target
    size: int
    parts: dict[str, int]

    @property
    def unpacked(self) -> int:
        return sum(self.parts.values())

    @property
    def wheels(self) -> dict[str, str]:
        """The wheels that it brings along, name to version."""
        return {name: pins()[name] for name in LIBRARY} if self.parts["code/lib"] else {}

    def to_json(self) -> dict[str, Any]:
        return {
            "archive": str(self.path),
            "bytes": self.size,
            "unpacked_bytes": self.unpacked,
            "parts": self.parts,
            "python": self.target.python,
            "machine": self.target.machine,
            "wheels": self.wheels,
        }


def pack(bundle: Path, out: Path, target: Target = USUAL, vendored: bool = True, track: Track = quiet) -> Packed:
    """Writes the bundle's archive to ``out``: the same bytes for the same bundle and target.

    Without ``vendored`` it has `code/requirements.txt` in place of the wheels, and the image installs them at its
    start. Raises BundleError for a bundle that is not sound, UsageError where ``out`` is something else than an
    archive, PlaceError where a wheel cannot be had.
    """
    _free(out)
    files = contents(bundle, target, vendored, track)
    write_tar_gz(out, files)
    parts = {"bundle": 0, "code": 0, "code/lib": 0}
    for name, content in files.items():
        part = "code/lib" if name.startswith("code/lib/") else "bundle" if name in (*FILES, MANIFEST) else "code"
        parts[part] += len(content)
    return Packed(out, target, out.stat().st_size, parts)


def contents(bundle: Path, target: Target = USUAL, vendored: bool = True, track: Track = quiet) -> dict[str, bytes]:
    """The archive's files, path to bytes."""
    Bundle.load(bundle)
    found = {name: (bundle / name).read_bytes() for name in (*FILES, MANIFEST)}
    found |= {f"code/{path}": content for path, content in package(*ROOMS).items()}
    versions = pins()
    library = [f"{name}=={versions[name]}" for name in LIBRARY]
    server = [f"{name}=={versions[name]}" for name in SERVER]
    if vendored:
        found |= {f"code/lib/{path}": content for path, content in unpacked(LIBRARY, target, track).items()}
    else:
        found[REQUIREMENTS] = "".join(f"{line}\n" for line in library).encode()
    texts = {
        "config.yaml": CONFIG,
        "plaudit_ray.py": RAY,
        "Dockerfile": DOCKERFILE.format(
            python=target.python,
            platform={"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[target.machine],
            requirements=" ".join(sorted(server if vendored else {*server, *library})),
        ),
        "code/inference.py": INFERENCE,
        "code/plaudit_endpoint.py": ENDPOINT,
        "code/plaudit_path.py": PATH.format(wheels_for=(target.python, target.machine) if vendored else None),
    }
    return found | {name: text.encode() for name, text in texts.items()}


def _free(out: Path) -> None:
    """Raises UsageError where ``out`` is anything but an archive that may be replaced."""
    if out.is_dir():
        raise UsageError(f"{out} is a folder: name a file such as {out / 'model.tar.gz'}")
    if out.exists():
        with out.open("rb") as file:
            if file.read(2) != GZIP:
                raise UsageError(f"{out} is there and is no archive: name another file with --out")

"""What a training job on SageMaker is asked to be: its code, its data, its request. Makes no call but uploads.

Everything of one training lies under one prefix of the bucket, named by a digest of what decides its result: the same
training finds its checkpoint again, and one removal takes everything back.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from plaudit.errors import UsageError
from plaudit.learning.lines import METRICS
from plaudit.places.aws import limits
from plaudit.places.aws.bill import Bill
from plaudit.places.aws.names import PREFIX, Name
from plaudit.places.aws.packing import write_tar_gz
from plaudit.places.aws.parts import TRAINING, VECTORS, Target, package, pins, unpacked
from plaudit.places.aws.storage import Storage
from plaudit.progress import Track, quiet
from plaudit.text.download import cache_folder
from plaudit.text.imdb import is_imdb_folder
from plaudit.text.sources import locate

VOLUME_GB = 20
TARGET = Target("3.12")
"""The Python of AWS's training images."""
ROOMS = ("bundle", "cli", "learning", "shipped/encoder", "text")
SOURCES = "base/source/"
"""All jobs share it, so it goes with the base."""
SCRIPT = "train.py"
CHANNEL = "training"
CHECKPOINTS = "/opt/ml/checkpoints"
QUIET = 30
"""Python's WARNING: the toolkit's log without its dump of the environment."""
ENTRY = b'''"""The training job: Plaudit's own command line, beside the image's torch."""
import sys
from pathlib import Path

here = Path(__file__).resolve().parent
# At the end: what the image has goes before what was brought along.
sys.path = [path for path in sys.path if path not in ("", str(here))] + [str(here), str(here / "lib")]

from plaudit.cli.main import main

main(["train", *sys.argv[1:]])
'''


@dataclass(frozen=True)
class Fleet:
    """The machines of a job, and how long they may run. Raises UsageError that names the limit it is over."""

    instance: str = "ml.m5.xlarge"
    count: int = 1
    spot: bool = False
    max_seconds: int = 86_400
    volume_gb: int = VOLUME_GB

    def __post_init__(self) -> None:
        limits.instance(self.instance)
        limits.machines(self.count)
        shortest, longest = limits.TRAINING_SECONDS
        if not shortest <= self.max_seconds <= longest:
            raise UsageError(
                f"--max-hours {self.max_seconds / 3600:g}: a training job runs between a minute and 28 days (672 hours)"
            )

    @property
    def accelerator(self) -> str:
        """`cuda` for NVIDIA's GPUs, else `cpu`. Raises UsageError for chips that torch's images do not know."""
        family = self.instance.split(".")[1]
        if family.startswith(("trn", "inf")):
            raise UsageError(f"{self.instance} has no GPU that torch trains on: ml.g5.xlarge has one")
        return "cuda" if re.match(r"(g|p)[0-9]", family) else "cpu"

    @property
    def at_most(self) -> Bill:
        """What a job costs that runs for as long as it may, at the full price."""
        return Bill(self.max_seconds, self.instance, self.count, "training")


@dataclass(frozen=True)
class TrainingPlan:
    """One training: what decides its result, and where it runs. ``flags`` are hyperparameters, by name.

    With ``vectors`` its code brings along what finds document vectors.
    """

    digest: str
    flags: Mapping[str, str | int | float]
    image: str
    fleet: Fleet = field(default_factory=Fleet)
    vectors: bool = False
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def job(self) -> str:
        """The job's name: which recipe, which training, when."""
        recipe = re.sub(r"[^a-zA-Z0-9]+", "-", str(self.flags.get("recipe", "train")))
        return f"{PREFIX}-{recipe}-{self.digest}-{self.started:%Y%m%d-%H%M%S}"

    @property
    def libraries(self) -> tuple[str, ...]:
        """What the training needs beside torch, which the image has."""
        return (*TRAINING, *VECTORS) if self.vectors else TRAINING

    @property
    def name(self) -> Name:
        """What all jobs of this training are tagged with, and their objects lie under."""
        return Name(f"train-{self.digest}")

    @property
    def prefix(self) -> str:
        """Where everything of this training is in the bucket."""
        return self.name.prefix


def digest_of(*parts: Any) -> str:
    """Twelve hexadecimal digits for what decides a training's result."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def job_request(plan: TrainingPlan, *, bucket: str, region: str, role: str, source: str, data: str) -> dict[str, Any]:
    """The body of CreateTrainingJob. ``source`` and ``data`` are addresses in S3.

    Raises UsageError that names SageMaker's limit where the request is over one.
    """
    fleet, where = plan.fleet, f"s3://{bucket}/{plan.prefix}"
    stopping = {"MaxRuntimeInSeconds": fleet.max_seconds}
    if fleet.spot:
        # Waiting for a machine counts as well; twice the time leaves as much for waiting as for work.
        stopping["MaxWaitTimeInSeconds"] = min(2 * fleet.max_seconds, limits.TRAINING_SECONDS[1])
    if len(plan.job) > limits.JOB_NAME_CHARACTERS:
        raise UsageError(f"the job's name {plan.job} is over SageMaker's {limits.JOB_NAME_CHARACTERS} characters")
    return {
        "TrainingJobName": plan.job,
        "AlgorithmSpecification": {
            "TrainingImage": plan.image,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": name, "Regex": regex} for name, regex in METRICS.items()],
        },
        "HyperParameters": _hyperparameters(plan, region, source),
        "InputDataConfig": [
            {
                "ChannelName": CHANNEL,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": data,
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"{where}output/"},
        "ResourceConfig": {
            "InstanceType": fleet.instance,
            "InstanceCount": fleet.count,
            "VolumeSizeInGB": fleet.volume_gb,
        },
        "StoppingCondition": stopping,
        "EnableManagedSpotTraining": fleet.spot,
        "CheckpointConfig": {"S3Uri": f"{where}checkpoints/", "LocalPath": CHECKPOINTS},
        "RoleArn": role,
        "Tags": plan.name.tag_list,
    }


def _hyperparameters(plan: TrainingPlan, region: str, source: str) -> dict[str, str]:
    """Our flags and the toolkit's, each as JSON, as it reads them."""
    own: dict[str, Any] = {
        "sagemaker_program": SCRIPT,
        "sagemaker_submit_directory": source,
        "sagemaker_region": region,
        "sagemaker_job_name": plan.job,
        "sagemaker_container_log_level": QUIET,
    }
    if plan.fleet.count > 1:
        own |= {"sagemaker_torch_distributed_enabled": True, "sagemaker_instance_type": plan.fleet.instance}
    found = {name: json.dumps(value) for name, value in {**plan.flags, **own}.items()}
    if len(found) > limits.HYPERPARAMETERS:
        raise UsageError(f"{len(found)} hyperparameters: SageMaker takes {limits.HYPERPARAMETERS}")
    longest = limits.HYPERPARAMETER_CHARACTERS
    for name, value in found.items():
        if len(value) > longest:
            raise UsageError(
                f"--{name.replace('_', '-')} has {len(value):,} characters: SageMaker takes {longest:,} of a"
                " hyperparameter"
            )
    return found


def source_key(libraries: Sequence[str] = TRAINING, target: Target = TARGET) -> str:
    """Where the job's code is in the bucket: named by what goes into it, so that it is built and sent once."""
    versions = pins()
    parts = [ENTRY.decode(), target.python, target.machine, [f"{name}=={versions[name]}" for name in libraries]]
    code = {path: hashlib.sha256(content).hexdigest() for path, content in package(*ROOMS).items()}
    return f"{SOURCES}{digest_of(parts, code)}/sourcedir.tar.gz"


def source_archive(
    path: Path, libraries: Sequence[str] = TRAINING, target: Target = TARGET, track: Track = quiet
) -> Path:
    """Writes the job's code: `train.py`, Plaudit, and in `lib/` what it needs beside torch; nothing else."""
    brought = {f"lib/{name}": content for name, content in unpacked(libraries, target, track).items()}
    return write_tar_gz(path, {SCRIPT: ENTRY, **package(*ROOMS), **brought})


def send_source(storage: Storage, libraries: Sequence[str] = TRAINING, track: Track = quiet) -> str:
    """Puts the job's code into the bucket unless it is there; its address."""
    key = source_key(libraries)
    if storage.has(key):
        return storage.uri(key)
    kept = cache_folder() / key
    if not kept.exists():
        source_archive(kept, libraries, track=track)
    return storage.upload(kept, key, track)


def data_name(path: Path) -> str:
    """The reviews' name in the bucket: a job passes over files whose names begin with a dot or an underscore."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.name).lstrip("._") or "reviews"


@contextmanager
def reviews_file(reviews: str, track: Track = quiet) -> Iterator[Path]:
    """The one file that a job gets: the reviews' own, the sample's, or an archive of IMDb's folder."""
    path = locate(reviews, track)
    if path is None:
        with as_file(files("plaudit.text") / "sample.jsonl") as sample:
            yield sample
    elif path.is_dir():
        if not is_imdb_folder(path):
            raise UsageError(f"{reviews}: a job takes the reviews themselves, a file or IMDb's folder")
        root = path if (path / "train").is_dir() else path / "aclImdb"
        with tempfile.TemporaryDirectory() as scratch:
            texts = {f"aclImdb/{text.relative_to(root)}": text.read_bytes() for text in track(_texts(root), "packing")}
            yield write_tar_gz(Path(scratch) / "aclImdb.tar.gz", texts)
    else:
        yield path


def _texts(root: Path) -> list[Path]:
    """The labelled reviews of IMDb's folder, and the lists that say which film each is of."""
    found = [*root.glob("t*/pos/*.txt"), *root.glob("t*/neg/*.txt"), *root.glob("t*/urls_*.txt")]
    return sorted(path for path in found if path.relative_to(root).parts[0] in ("train", "test"))


def volume_for(size: int) -> int:
    """Gigabytes of disk for a job whose data has ``size`` bytes: the data, its words, and checkpoints."""
    return VOLUME_GB + math.ceil(4 * size / 2**30)

"""Texts without a label: a language, teachers by words, by document vectors, by reading, and one network of them all.

Every step leaves its result in the training's folder, so that a stopped training goes on with the step it was in.
Knows the steps and what passes between them; each is a training like any other.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from plaudit.bundle.bundle import Bundle
from plaudit.errors import MissingExtra
from plaudit.learning.bundling import Floats, biases_of, judged_bundle
from plaudit.learning.calibration import accuracy, best_shares, fit_temperature, probabilities
from plaudit.learning.checkpoint import digest
from plaudit.learning.distributed import World
from plaudit.learning.lessons import Lessons, lessons
from plaudit.learning.linear_training import linear_evidence, linear_model
from plaudit.learning.network import Network, joined, start_from
from plaudit.learning.pretrained import load_encoder
from plaudit.learning.pretraining import Corpus, pretrain
from plaudit.learning.probing import regression, started
from plaudit.learning.recipes import GROWN, NOTHING, Recipe
from plaudit.learning.schedule import Schedule, VectorSettings
from plaudit.learning.training import Training
from plaudit.learning.watch import Watch
from plaudit.text.encoding import Encoded
from plaudit.text.ngrams import NgramCounts
from plaudit.text.prepared import Prepared

if TYPE_CHECKING:
    from plaudit.learning.document_vectors import DocumentVectors

TURN = 1_000_003
STREAMS = 128
ENOUGH_TEXTS = 50_000
"""A language model of fewer knows less than the encoder that comes with Plaudit."""


@dataclass(frozen=True)
class Taught:
    """What a teacher says of the validation reviews and the texts without a label, (texts, units), and its weights."""

    validation: Floats
    unlabelled: Floats
    weights: Mapping[str, Tensor]

    def save(self, path: Path, identity: str) -> None:
        tensors = {f"weights.{name}": value.contiguous() for name, value in self.weights.items()}
        tensors |= {"validation": torch.from_numpy(self.validation), "unlabelled": torch.from_numpy(self.unlabelled)}
        part = path.with_suffix(".part")
        save_file(tensors, part, {"identity": identity})
        part.replace(path)

    @classmethod
    def load(cls, path: Path, identity: str) -> Taught | None:
        """What an earlier run of the same training left; None where there is nothing of it."""
        try:
            with safe_open(path, "pt") as file:
                if (file.metadata() or {}).get("identity") != identity:
                    return None
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError):
            return None
        own = {name.removeprefix("weights."): value for name, value in found.items() if name.startswith("weights.")}
        return cls(found["validation"].numpy(), found["unlabelled"].numpy(), own)


@dataclass
class Ensemble:
    """One training with texts without a label (distillation: Hinton et al. 2015); `run` it.

    ``folder`` keeps what each step made; without one a stop loses it.
    """

    data: Prepared
    recipe: Recipe
    seed: int = 0
    folder: Path | None = None
    watch: Watch = field(default_factory=Watch)
    world: World = field(default_factory=World)

    def run(self) -> Bundle:
        """Teaches the teachers, lets them judge the texts that have no label, and trains one network on it all.

        In each of the recipe's turns the network among them learns from these judgements first, and judges beside them.
        What reads both ways is a network of two that learn apart; the second has no turns, and makes their passes then.
        """
        recipe, data = self.recipe, self.data
        self._biases = biases_of(data)
        chosen = np.random.default_rng(self.seed).permutation(len(data.unlabelled))[: recipe.unlabelled]
        self._unlabelled = Encoded.of(data.unlabelled[int(index)] for index in chosen)
        of_words = recipe
        speaks = recipe.language_epochs and len(data.train.texts) + len(data.unlabelled) >= ENOUGH_TEXTS
        if speaks:
            recipe = replace(recipe, hidden_dim=recipe.language_dim, direction=recipe.language_direction)
        first = recipe.directions[0]
        self._encoder = None if recipe.start == NOTHING else load_encoder(recipe.start)
        if self._encoder is not None:  # else it would come out after the first teachers
            self._encoder.must_read([first] if speaks else recipe.directions)
        if recipe.vector_epochs:
            document_vectors()
        begin = self._begun(recipe) if speaks else dict.fromkeys(recipe.directions)
        student = replace(recipe, epochs=recipe.student_epochs, adversarial=recipe.student_adversarial, turns=0)
        # What a step does not depend on is the same in all recipes, so that a change of it leaves the step as it is.
        alone: dict[str, Any] = {"turns": 0, "teacher_epochs": 1, "turn_epochs": 1, "student_epochs": 1}
        alone["student_adversarial"] = 0.0
        alone |= {"vector_epochs": 0, "vector_dim": 1}
        alone["phrases"] = 0  # what teachers judge are long reviews
        teacher, of_words = replace(recipe, **alone), replace(of_words, **alone, language_epochs=0)
        taught = {"linear": self._taught("linear", of_words, self._linear)}
        if recipe.vector_epochs:
            of_words = replace(of_words, vector_epochs=recipe.vector_epochs, vector_dim=recipe.vector_dim)
            taught["vectors"] = self._taught("vectors", of_words, self._vectors)
        own = replace(teacher, direction=first, epochs=recipe.teacher_epochs)
        taught[first] = latest = self._network(first, self._training(own, first, begin=begin[first]))
        for turn in range(1, recipe.turns + 1):
            to_learn, _ = self._lessons(taught, student)
            name = f"{first}, turn {turn}"
            again = replace(student, direction=first, epochs=recipe.turn_epochs, student_epochs=1)
            again = replace(again, adversarial=0.0, student_adversarial=0.0)
            training = self._training(again, name, to_learn, latest.weights, turn)
            taught[name] = latest = self._network(name, training)
        to_learn, judged = self._lessons(taught, student)
        begin[first] = latest.weights
        network, told = self._students(student, recipe.turns * recipe.turn_epochs, to_learn, begin)
        told["teachers"] = judged
        made = judged_bundle(network, data, student, told, watch=self.watch, world=self.world)
        return replace(made, card=replace(made.card, recipe=recipe.to_json()))

    def _students(
        self, recipe: Recipe, of_turns: int, to_learn: Lessons, begin: Mapping[str, Mapping[str, Tensor] | None]
    ) -> tuple[Network, dict[str, Any]]:
        """The network of what learns apart in each direction, and what a card says of it.

        The first has made the passes ``of_turns``.
        """
        learnt: list[Mapping[str, Tensor]] = []
        told = []
        for at, one in enumerate(recipe.directions):
            self.watch.say(f"student {one}: {len(to_learn.texts):,} texts to learn from")
            own = replace(recipe, direction=one, epochs=recipe.epochs + (of_turns if at else 0))
            begins = begin[one] or self._beside(own, learnt[0])
            training = self._training(own, f"student {one}", to_learn, begins)
            learnt.append(training.learn().state_dict())
            told.append(training.told)
        network = Network(recipe, self.data.vocabulary.size, self._biases).to(self.world.device)
        network.load_state_dict(joined(*learnt) if len(learnt) > 1 else learnt[0])
        whole = {"parameters": network.parameters_count, "seconds": round(sum(each["seconds"] for each in told), 1)}
        others = {"beside": dict(zip(recipe.directions[1:], told[1:], strict=True))} if len(told) > 1 else {}
        return network, {**told[0], **whole, **others}

    def _beside(self, recipe: Recipe, first: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The first weights of a network that reads another way than ``first`` does, with its word vectors."""
        torch.manual_seed(self.seed)
        network = Network(recipe, self.data.vocabulary.size, self._biases)
        if recipe.start != NOTHING:
            started(network, self.data, recipe)
        return {**network.state_dict(), "embedding.weight": first["embedding.weight"].cpu()}

    def _begun(self, recipe: Recipe) -> dict[str, Mapping[str, Tensor] | None]:
        """By direction the first weights of a network that reads that way, from language models of all these texts."""
        corpus = Corpus.prepared(self.data)
        settings = Schedule(
            vocab_size=corpus.vocabulary.size,
            embedding_dim=recipe.embedding_dim,
            hidden_dim=recipe.hidden_dim,
            epochs=recipe.language_epochs,
            streams=STREAMS,
        )
        folder = self.folder / "language" if self.folder is not None and self.world.leads else None
        grown_from = self._encoder if recipe.language_start == GROWN else None
        how: dict[str, Any] = {"directions": recipe.directions, "grown_from": grown_from}
        encoder = pretrain(corpus, settings, self.seed, folder, self.watch, **how)
        found: dict[str, Mapping[str, Tensor] | None] = {}
        for one in recipe.directions:
            torch.manual_seed(self.seed)
            network = Network(replace(recipe, direction=one), self.data.vocabulary.size, self._biases)
            start_from(network, self.data.vocabulary, encoder)
            found[one] = network.state_dict()
        return found

    def _training(
        self,
        recipe: Recipe,
        name: str,
        to_learn: Lessons | None = None,
        begin: Mapping[str, Tensor] | None = None,
        turn: int = 0,
    ) -> Training:
        """A training whose chance is its turn's own: it leaves other words out than the next one."""
        folder = self.folder / name if self.folder is not None else None
        seed = (self.seed + turn * TURN) % 2**31
        return Training(self.data, recipe, seed, folder, self.watch, self.world, to_learn, begin)

    def _network(self, name: str, training: Training) -> Taught:
        def teach() -> Taught:
            weights = {name: value.cpu() for name, value in training.learn().state_dict().items()}
            validation, unlabelled = map(training.evidence, self._judged)
            return Taught(validation, unlabelled, weights)

        learnt = training.lessons.fingerprint if training.lessons else ""
        return self._taught(name, training.recipe, teach, (learnt, digest(training.begin or {})))

    def _taught(
        self, name: str, recipe: Recipe, teach: Callable[[], Taught], others: tuple[str, str] = ("", "")
    ) -> Taught:
        """What the teacher called ``name`` says, from an earlier run or anew; digests of what ``others`` gave it."""
        encoder = self._encoder.card if self._encoder is not None else {}
        of_data = (self.data.about.digest, encoder, others)
        parts = (name, recipe.to_json(), self.seed, of_data, torch.__version__)
        identity = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        path = self.folder / f"{name}.safetensors" if self.folder is not None else None
        found = Taught.load(path, identity) if path is not None else None
        if found is not None:
            self.watch.say(f"teacher {name}: done before")
            return found
        self.watch.say(f"teacher {name}")
        found = teach()
        labels = self.data.validation.labels
        self.watch.say(f"teacher {name}: accuracy {accuracy(self._biases + found.validation, labels):.4f}")
        if path is not None and self.folder is not None and self.world.leads:
            path.parent.mkdir(parents=True, exist_ok=True)
            found.save(path, identity)
            shutil.rmtree(self.folder / name, ignore_errors=True)
        return found

    def _linear(self) -> Taught:
        model = linear_model(self.data, self.recipe)
        validation, unlabelled = (linear_evidence(model, self.data, texts) for texts in self._judged)
        return Taught(validation, unlabelled, {})

    def _vectors(self) -> Taught:
        """A regression on the document vectors of all texts; a text that is judged is one of those that made them."""
        data, settings = self.data, VectorSettings(epochs=self.recipe.vector_epochs, dim=self.recipe.vector_dim)
        texts = itertools.chain(data.train.texts, *self._judged)
        counts = NgramCounts.of(data.vocabulary.words_of(texts), settings.order, settings.least)
        folder = self.folder and self.folder / "vectors"
        vectors = document_vectors()(counts, settings, self.seed, folder, self.watch).run()
        centred = torch.from_numpy(vectors - vectors.mean(axis=0))
        biases = torch.from_numpy(self._biases).float()
        labels = torch.from_numpy(data.train.labels)
        said = (centred @ regression(centred[: len(labels)], labels, biases).t()).double().numpy()
        validation, unlabelled = np.split(said[len(labels) :], [len(data.validation.labels)])
        return Taught(validation, unlabelled, {})

    @property
    def _judged(self) -> tuple[Encoded, Encoded]:
        return self.data.validation.texts, self._unlabelled

    def _lessons(self, taught: Mapping[str, Taught], recipe: Recipe) -> tuple[Lessons, dict[str, Any]]:
        """A recipe's own lessons and the texts without a label as the teachers together judge them; and how well."""
        labels = self.data.validation.labels
        scales = {name: fit_temperature(one.validation, self._biases, labels) for name, one in taught.items()}
        shares = best_shares(
            {name: one.validation / scales[name] for name, one in taught.items()}, self._biases, labels
        )
        of_validation = np.asarray(sum(shares[name] * one.validation / scales[name] for name, one in taught.items()))
        judged: dict[str, Any] = {"shares": shares}
        judged["accuracy"] = {name: accuracy(self._biases + one.validation, labels) for name, one in taught.items()}
        judged["accuracy"]["together"] = together = accuracy(self._biases + of_validation, labels)
        told = ", ".join(f"{name} {share:.1f}" for name, share in shares.items())
        self.watch.say(f"teachers together: accuracy {together:.4f} ({told})")
        of_texts = sum(shares[name] * one.unlabelled / scales[name] for name, one in taught.items())
        temperature = fit_temperature(of_validation, self._biases, labels)
        targets = probabilities(self._biases + of_texts / temperature)
        labelled = len(self.data.train.texts)
        found = lessons(self.data, recipe, self.seed, recipe.labelled_passes * labelled + len(self._unlabelled))
        own = found.targets[:labelled]
        for _ in range(1, recipe.labelled_passes):
            found = found.with_more(self.data.train.texts, own)
        return found.with_more(self._unlabelled, targets), judged


def document_vectors() -> type[DocumentVectors]:
    """What finds document vectors: the one part here that needs numba. Raises MissingExtra without it."""
    try:
        from plaudit.learning.document_vectors import DocumentVectors
    except ModuleNotFoundError:
        raise MissingExtra("A teacher with document vectors (--vector-epochs)", "pretrain") from None
    return DocumentVectors

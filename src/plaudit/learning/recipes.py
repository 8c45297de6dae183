"""Recipes: every setting of a training under one name. Knows no data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from plaudit.errors import UsageError
from plaudit.text.prepared import Reading
from plaudit.text.words import CLEANINGS, Cleaning

PRECISIONS = ("auto", "float32", "bfloat16")
LEAST_BATCH = 8
NOTHING, SHIPPED, GROWN = "nothing", "encoder", "start"
POOLINGS = ("last", "mean and max")
DIRECTIONS = ("forward", "backward", "both")
WEIGHTS = ("float32", "int8")


def _setting(default: Any, help: str, low: float = 0, high: float = float("inf"), choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"help": help, "low": low, "high": high, "choices": choices})


@dataclass(frozen=True)
class Recipe:
    """A named training. A setting is overridden with `Recipe.of(name, setting=value)`."""

    name: str
    about: str
    kind: str = "network"
    cleaning: Cleaning = _setting("original", "how a text becomes words", choices=CLEANINGS)
    vocab_size: int = _setting(5000, "ids in the vocabulary, two of them reserved", 3, 1_000_000)
    max_words: int = _setting(500, "words of a review that are read", 1, 100_000)
    embedding_dim: int = _setting(32, "numbers a word becomes", 1, 4096)
    hidden_dim: int = _setting(200, "size of the LSTM's state", 1, 8192)
    layers: int = _setting(1, "LSTM layers", 1, 8)
    direction: str = _setting("forward", "which way the LSTM reads", choices=DIRECTIONS)
    pooling: str = _setting("last", "the states that the verdict is read from", choices=POOLINGS)
    start: str = _setting(
        NOTHING, "first weights: nothing, encoder (the one that comes with Plaudit), or the folder of your own"
    )
    fitted_rate: float = _setting(
        1.0, "share of the learning rate that a network gets whose last layer was fitted", 0, 1
    )
    few: int = _setting(0, "reviews up to which that layer is fitted, and nothing else is trained")
    ngrams: int = _setting(3, "words in the longest run that is weighed", 1, 5)
    strength: float = _setting(1.0, "how far weights may go to fit: C of the regression", 1e-6, 1e6)
    most: int = _setting(300_000, "runs of words that are kept, the heaviest", 1, 10_000_000)
    phrases: int = _setting(0, "short made-up sentences that teach negation and contrast, for negative/positive", 0)
    phrase_weight: float = _setting(1.0, "what a phrase counts for beside a review", 0, 1000)
    dropout: float = _setting(0.0, "share of embedding and state entries set to zero in training", 0, 0.95)
    word_dropout: float = _setting(0.0, "share of words replaced by the infrequent word in training", 0, 0.95)
    span_dropout: float = _setting(0.0, "share of a review's runs of 25 words left out, in each epoch others", 0, 0.95)
    epochs: int = _setting(10, "passes over the training reviews", 1, 10_000)
    batch_size: int = _setting(128, "reviews a step", 1, 65_536)
    least_batches: int = _setting(0, "batches an epoch has at least, as far as 8 reviews a batch allow", 0, 100_000)
    least_steps: int = _setting(0, "steps at least: few reviews are passed over more often", 0, 10_000_000)
    learning_rate: float = _setting(2e-3, "Adam's highest learning rate; it falls to zero in a straight line", 1e-8, 10)
    warm_up: float = _setting(0.0, "share of all steps in which the learning rate rises to its highest", 0, 0.9)
    encoder_rate: float = _setting(1.0, "share of the learning rate that weights from the encoder get", 0, 1)
    embedding_rate: float = _setting(
        1.0, "share of that which word vectors get; 0: those that the encoder knows stay as they are", 0, 1
    )
    unlabelled: int = _setting(0, "texts without a label, at most, that are learnt as teachers judge them", 0)
    language_epochs: int = _setting(
        0,
        "passes of a language model of its own over the texts, to begin with if there are 50,000; 0: start's",
        0,
    )
    language_start: str = _setting(
        GROWN, "what that begins as: nothing, or start, whose words and units it grows from", choices=(NOTHING, GROWN)
    )
    language_dim: int = _setting(512, "size of the LSTM's state where it begins with that", 1, 8192)
    language_direction: str = _setting(
        "forward", "which way the LSTM reads where it begins with that", choices=DIRECTIONS
    )
    vector_epochs: int = _setting(
        0, "passes that find document vectors, for one more teacher; more than 0 needs the 'pretrain' extra", 0, 10_000
    )
    vector_dim: int = _setting(128, "numbers of a document vector", 1, 4096)
    teacher_epochs: int = _setting(1, "passes of each of these teachers over the training reviews", 1, 1000)
    turns: int = _setting(0, "times that networks among the teachers learn from all of them, and judge anew", 0, 100)
    turn_epochs: int = _setting(1, "passes over what they teach in each of these turns", 1, 1000)
    student_epochs: int = _setting(1, "passes over what they teach, for the network that comes out of them", 1, 1000)
    labelled_passes: int = _setting(1, "passes over reviews with a label for each over those without", 1, 100)
    student_adversarial: float = _setting(0.0, "adversarial, for the network that comes out of them", 0, 100)
    average: float = _setting(0.0, "what a step keeps of the running average of weights; 0: no average", 0, 0.9999)
    adversarial: float = _setting(0.0, "length of the worst step away from the word vectors; it is learnt too", 0, 100)
    clip: float = _setting(5.0, "largest norm of a gradient", 1e-6)
    validation: float = _setting(0.1, "share of the training reviews held out for validation", 0.01, 0.5)
    precision: str = _setting(
        "auto", "arithmetic of training; auto takes bfloat16 where the processor is faster at it", choices=PRECISIONS
    )
    weights: str = _setting("float32", "weights of the bundle; int8 scores faster", choices=WEIGHTS)

    def __post_init__(self) -> None:
        for setting in fields(self):
            if not setting.metadata:
                continue
            value, about = getattr(self, setting.name), setting.metadata
            if about["choices"]:
                if value not in about["choices"]:
                    raise UsageError(f"{setting.name} is one of {', '.join(about['choices'])}, not {value!r}")
            elif not isinstance(value, str) and not about["low"] <= value <= about["high"]:
                bounds = f"is at least {about['low']}"
                if about["high"] < float("inf"):
                    bounds = f"lies between {about['low']} and {about['high']}"
                raise UsageError(f"{setting.name} {bounds}, not {value}")

    @classmethod
    def of(cls, name: str, **settings: Any) -> Recipe:
        """The recipe called ``name`` with single settings changed. Epochs that are named are trained, and no more.

        Raises UsageError for a recipe that cannot be.
        """
        if name not in RECIPES:
            raise UsageError(f"there is no recipe {name!r}: the recipes are {', '.join(RECIPES)}")
        unknown = set(settings) - {setting.name for setting in settings_of_a_recipe()}
        if unknown:
            raise UsageError(f"a recipe has no setting {', '.join(sorted(unknown))}")
        if "epochs" in settings:
            settings = {"least_steps": 0, "few": 0, **settings}
        return replace(RECIPES[name], **settings)

    def for_texts(self, texts: int) -> Recipe:
        """The recipe with the batch size and the epochs that so many texts get."""
        batch_size = self.batch_size
        if self.least_batches:
            batch_size = min(batch_size, max(LEAST_BATCH, texts // self.least_batches))
        steps = max(1, -(-texts // batch_size))
        return replace(self, batch_size=batch_size, epochs=max(self.epochs, -(-self.least_steps // steps)))

    @property
    def directions(self) -> tuple[str, ...]:
        """Every way that the network reads."""
        return DIRECTIONS[:2] if self.direction == DIRECTIONS[2] else (self.direction,)

    @property
    def reading(self) -> Reading:
        return Reading(self.cleaning, self.vocab_size, self.max_words, self.validation, self.start)

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "about"}


def settings_of_a_recipe() -> list[Any]:
    """The dataclass fields that a user may set, each with its help in ``metadata``."""
    return [setting for setting in fields(Recipe) if setting.metadata]


DEFAULT = "lstm"

_LSTM = Recipe(
    "lstm",
    "an LSTM that starts from a language model of 70,970 reviews: the default, for 200 reviews and more",
    cleaning="modern",
    vocab_size=40_000,
    max_words=1_000,
    embedding_dim=256,
    hidden_dim=320,
    pooling="mean and max",
    start=SHIPPED,
    fitted_rate=0.5,
    few=500,
    phrases=80_000,
    phrase_weight=0.4,
    dropout=0.1,
    word_dropout=0.05,
    span_dropout=0.5,
    epochs=2,
    batch_size=64,
    least_batches=50,
    least_steps=400,
    learning_rate=6e-3,
    warm_up=0.1,
    encoder_rate=0.5,
    embedding_rate=0.0,
    unlabelled=50_000,
    teacher_epochs=4,
    turns=1,
    labelled_passes=2,
    average=0.998,
    weights="int8",
)

RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "original",
            "the original's network of 347,401 parameters and its 10 epochs",
            dropout=0.4,
        ),
        Recipe(
            "linear",
            "weighted runs of one to three words (Wang and Manning 2012): seconds",
            kind="linear",
            cleaning="modern",
            vocab_size=1_000_000,
            max_words=5_000,
        ),
        _LSTM,
        replace(
            _LSTM,
            name="best",
            about="two larger LSTMs, one a way, from language models of your own 50,000 texts, taught by others: hours",
            validation=0.05,
            unlabelled=1_000_000,
            language_epochs=3,
            language_direction="both",
            turn_epochs=2,
            student_epochs=2,
        ),
    )
}

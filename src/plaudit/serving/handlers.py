"""The four handlers of SageMaker's hosting contract: a model's folder and a request's bytes to an answer's bytes.

The endpoint calls them, and so does any container that speaks the contract. They know no HTTP.
"""

from __future__ import annotations

from pathlib import Path

from plaudit.bundle.classifier import Classifier, load
from plaudit.errors import Unprocessable, UnsupportedMedia
from plaudit.serving.formats import (
    READERS,
    WRITERS,
    Answer,
    Request,
    choose_writer,
    encoded_rows,
    media_type,
)


def model_fn(model_dir: str | Path) -> Classifier:
    """The classifier of the bundle in ``model_dir``. Raises BundleError if it is not sound."""
    return load(model_dir)


def input_fn(body: bytes | str, content_type: str | None) -> Request:
    """What a request asks. Raises RequestError with the status that it gets: 400, 415 or 422."""
    kind = media_type(content_type or "")
    if kind not in READERS:
        raise UnsupportedMedia(f"the content type is {kind or 'missing'}: send {', '.join(READERS)}")
    return READERS[kind](body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body)


def predict_fn(data: Request, model: Classifier) -> Answer:
    """The answer to a request: verdicts for texts, probabilities for encoded rows."""
    labels = model.card.labels
    if data.rows is not None:
        if model.card.cleaning != "original":
            raise Unprocessable("this model reads texts: encoded rows are for models of the original cleaning")
        rows = encoded_rows(data.rows, model.card.max_words, model.bundle.vocabulary.size)
        return Answer(labels, probabilities=[float(share) for share in model.proba_of_ids(rows)[:, 1]])
    return Answer(labels, verdicts=tuple(model.verdicts(data.texts or (), data.explain)), single=data.single)


def output_fn(prediction: Answer, accept: str) -> bytes:
    """The answer's bytes in the best format that ``accept`` allows."""
    return WRITERS[choose_writer(accept)](prediction)

"""From prepared reviews to a bundle by any recipe. Knows which kind of model a recipe trains."""

from __future__ import annotations

from pathlib import Path

from plaudit.bundle.bundle import Bundle
from plaudit.errors import UsageError
from plaudit.learning.distributed import World
from plaudit.learning.ensemble import Ensemble
from plaudit.learning.linear_training import linear_bundle
from plaudit.learning.recipes import Recipe
from plaudit.learning.training import Training
from plaudit.learning.watch import Watch
from plaudit.text.prepared import Prepared


def fit(
    data: Prepared,
    recipe: Recipe,
    seed: int = 0,
    *,
    folder: Path | None = None,
    watch: Watch | None = None,
    world: World | None = None,
) -> Bundle:
    """Trains ``recipe``; see `Training` for ``folder``, ``watch`` and ``world``.

    Raises UsageError for reviews that the recipe cannot be trained on.
    """
    if recipe.name == "original" and len(data.about.labels) != 2:
        found = ", ".join(map(repr, data.about.labels[:3]))
        raise UsageError(
            f"the recipe original is for two labels, and there are {len(data.about.labels)} ({found} …):"
            " use --recipe lstm or linear"
        )
    if recipe.kind == "linear":
        return linear_bundle(data, recipe)
    make = Ensemble if recipe.unlabelled and len(data.unlabelled) else Training
    return make(data, recipe, seed, folder, watch or Watch(), world or World()).run()

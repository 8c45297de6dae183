"""The original's serving process: its imports, its model from its files, and its answer to one review."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bs4  # noqa: F401
import nltk  # noqa: F401
import pandas as pd
import torch

from benchmarks.oracle import OriginalNetwork, StopWords, words_as_written

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    model = OriginalNetwork()
    model.load_state_dict(torch.load(folder / "model.pth", weights_only=True))
    model.eval()
    number = json.loads((folder / "words.json").read_text("utf-8"))
    found = words_as_written("A wonderful film", StopWords(folder).words)
    row = pd.DataFrame([[len(found), *(number.get(word, 1) for word in found), *[0] * (500 - len(found))]])
    with torch.no_grad():
        print(json.dumps({"probability": float(model(torch.from_numpy(row.values)))}), flush=True)
    sys.stdin.read()

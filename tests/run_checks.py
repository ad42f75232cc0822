"""What holds of every finished run of the tiny corpus, whatever its cases."""

import json

import numpy as np
import pandas as pd
from tiny_run import TINY

from agf.evaluation.metrics import evaluate_predictions
from agf.tasks import network_by_name


def check_networks(results, names):
    """Assert that networks were trained as configured."""
    for name in names:
        network = network_by_name(name)
        folder = results / "networks" / "random" / "seed0" / name
        history = pd.read_parquet(folder / "history.parquet")
        assert len(history) == TINY["networks"]["epochs"] * len(network.tasks)
        assert set(history.task) <= set(network.tasks)
        assert np.isfinite(history.loss).all()
        assert (folder / "weights.safetensors").stat().st_size > 1_000_000
        json.loads((folder / "summary.json").read_text())


def check_predictions(results, names):
    """Assert that cases predict the evaluation tracks alone, and are scored by that."""
    split = pd.read_parquet(results / "splits" / "random.parquet")
    wanted = set(split.track_id[split.part == "evaluation"])
    for name in names:
        folder = results / "cases" / "random" / "seed0" / name
        predictions = pd.read_parquet(folder / "predictions.parquet")
        assert set(predictions.track_id) == wanted
        sums = predictions.drop(columns=["track_id", "genre_top"]).sum(axis=1)
        assert np.allclose(sums, 1, atol=1e-4)
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics == evaluate_predictions(predictions)

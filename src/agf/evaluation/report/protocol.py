"""Protocol: what the run did beside what the paper did, from the run's own configuration."""

from typing import NamedTuple

from agf.evaluation.report.cells import Cell, Column, Table, count, percent, text
from agf.study import clusterings, protocols, splits

SAME, OTHER, SILENT = "as the paper", "differs", "the paper is silent"


METHODS = {
    "kmeans": "K-means",
    "gmm": "Gaussian mixture",
    "sparse_coding": "sparse coding",
    "lda": "LDA",
    "nmf": "NMF",
}
"""Names of methods in print."""


class Item(NamedTuple):
    """One line of the comparison: what, in the paper, here, and how they stand to each other."""

    name: str
    paper: str
    here: str
    verdict: str


def protocol_items(configuration):
    """Compare a configuration with the paper.

    Parameters
    ----------
    configuration : dict
        Of ``provenance.json``.

    Returns
    -------
    list of Item
        First what follows from settings, then what is the same in every run.

    Notes
    -----
    Source: Kim, Won, Serra and Liem (WWW'18), sections 2 to 4 and Tables 1 and 2; where it is
    silent, the authors' published code. ``docs/protocol.md`` says why each choice was made.
    """
    return [*_settings(configuration), *_always(protocols(configuration)[0])]


def protocol_table(items):
    """Return the items as a table, with the verdict in words and as a class."""
    names = {SAME: "same", OTHER: "other", SILENT: "silent"}
    rows = [
        [
            text(item.name),
            text(item.paper),
            text(item.here),
            Cell(item.verdict, item.verdict, f"verdict {names[item.verdict]}"),
        ]
        for item in items
    ]
    columns = [Column("item"), Column("paper"), Column("here"), Column("")]
    return Table("Paper and this run", columns, rows, False, "prose")


def _settings(configuration):
    spectrogram, agf = configuration["spectrogram"], configuration["agf"]
    networks, transfer = configuration["networks"], configuration["transfer"]
    split = configuration["split"]
    own, clustering = protocols(configuration)[0], clusterings(configuration)[0]
    n_splits, n_seeds = len(splits(configuration)), len(configuration["seeds"])
    subset = configuration["study"]["subset"]
    medium = configuration["source"] == "fma" and configuration["subset"] == "medium"
    fraction = f"{percent(split['evaluation_fraction'])} to evaluate on"
    kinds = {
        "paper": "the authors' list",
        "random": f"random, stratified by genre, {fraction}",
        "artist": f"no artist on both sides, {fraction}",
        "album": f"no album on both sides, {fraction}",
        "fma": "FMA's official one, training against test",
    }
    seconds = configuration["max_duration"]
    excerpt = "whole clips" if seconds is None else f"{seconds} s of a longer track"
    items = [
        _item(
            "corpus",
            "25,000 clips of FMA (fma_medium), 16 top genres",
            f"{configuration['corpus']} (source {configuration['source']}"
            + (f", subset {configuration['subset']})" if configuration["source"] == "fma" else ")"),
            medium,
        ),
        _item(
            "split",
            "stratified, 85/15",
            kinds[own.kind],
            own.kind == "paper" or (own.kind == "random" and split["evaluation_fraction"] == 0.15),
        ),
        _item(
            "runs",
            "one split",
            f"{count(n_splits, 'split')}, {count(n_seeds, 'seed')}",
            n_splits == n_seeds == 1,
        ),
        _item(
            "cases",
            "62",
            "all" if subset is None else f"a subset: {', '.join(subset)}",
            subset is None,
        ),
        _item("excerpt", "clips of 30 s", excerpt, seconds is None and medium),
        _item(
            "byte-identical clips",
            "kept",
            {"keep": "kept", "reject": "all but one rejected"}[configuration["duplicates"]],
            configuration["duplicates"] == "keep",
        ),
        _item(
            "spectrogram",
            "128 mel bands, 46 ms, half overlap, dB",
            f"{spectrogram['n_mels']} mel bands, "
            f"{1000 * spectrogram['n_fft'] / spectrogram['sample_rate']:.0f} ms, hop "
            f"{spectrogram['hop_length']} of {spectrogram['n_fft']}, "
            f"dB over a range of {spectrogram['top_db']:g}",
            spectrogram["n_mels"] == 128
            and round(1000 * spectrogram["n_fft"] / spectrogram["sample_rate"]) == 46
            and 2 * spectrogram["hop_length"] == spectrogram["n_fft"],
        ),
        _item("MFCC", "25", f"{configuration['mfcc']['n_mfcc']}", 25),
        _item(
            "dictionary",
            "K-means, 2,048 words for MFCC, dMFCC and Essentia",
            f"{METHODS[clustering.dictionary]}, "
            + ", ".join(f"{n:,}" for n in clustering.words)
            + " words, at most one a row",
            clustering.dictionary == "kmeans" and set(clustering.words) == {2048},
        ),
        Item(
            "scaling of MFCC before K-means",
            "silent",
            {"none": "none", "standard": "unit variance per coefficient"}[agf["mfcc_scaling"]],
            SILENT,
        ),
        _item(
            "artist groups",
            "LDA, 40 topics",
            f"{METHODS[clustering.groups]}, {clustering.n_topics} topics",
            (clustering.groups, clustering.n_topics) == ("lda", 40),
        ),
        _item(
            "epochs",
            "STN 200, MTN 1,000",
            f"{networks['epochs']} per task: STN {networks['epochs']}, "
            f"MTN of five {5 * networks['epochs']:,}",
            networks["epochs"] == 200,
        ),
        _item("batch", "64", f"{networks['batch_size']}", 64),
        _item("learning rate", "0.001", f"{networks['learning_rate']:g}", 0.001),
        _item(
            "crop",
            "1 s",
            f"{networks['crop_frames']} frames, "
            f"{_seconds(networks['crop_frames'], spectrogram):.2f} s",
            networks["crop_frames"] == 43,
        ),
        Item("weight decay", "silent", f"Adam's, {networks['weight_decay']:g}, kernels", SILENT),
        Item(
            "batch norm",
            "silent",
            f"momentum {networks['bn_momentum']:g} in torch's sense"
            + (", statistics measured anew at the end" if networks["bn_reestimate"] else ""),
            SILENT,
        ),
        Item(
            "precision",
            "silent; float32 in the authors' code",
            f"{networks['precision']} (networks), {transfer['precision']} (transfer)",
            SILENT,
        ),
        _item(
            "transfer MLP",
            "1,024 units, 50 epochs",
            f"{transfer['hidden_units']:,} units, {transfer['epochs']} epochs",
            (transfer["hidden_units"], transfer["epochs"]) == (1024, 50),
        ),
        Item(
            "windows of the transfer",
            "silent; 43 frames every 21 in the authors' code",
            f"{networks['crop_frames']} frames every {transfer['hop_frames']}",
            SILENT,
        ),
    ]
    drawn = transfer["windows_per_track_per_epoch"]
    if drawn is not None:
        items.append(Item("windows a track and epoch", "all", f"{drawn}, drawn anew", OTHER))
    return items


def _always(own):
    leaky = [f"{name}: all" for name in ("fit_on", "fit_rows") if getattr(own, name) == "all"]
    fitted = (
        f"all tracks, evaluation tracks included ({', '.join(leaky)})"
        if leaky
        else "training tracks only"
    )
    return [
        Item(
            "rows of every fit",
            "silent; the authors' code fits the transfer MLP on evaluation tracks too",
            fitted,
            OTHER if leaky else SILENT,
        ),
        Item("standardisation", "silent", "per mel band, over training tracks", SILENT),
        Item(
            "stored spectrogram",
            "silent",
            "eight bits over the range below a track's maximum: error at most 0.157 dB at 80 dB",
            SILENT,
        ),
        Item(
            "Essentia descriptors",
            "4,374, quantile-normalised",
            "4,374, quantile-normalised; every numeric value of MusicExtractor",
            SAME,
        ),
        Item("difference of MFCC", "between frames", "between frames, within a track", SAME),
        Item("bag-of-words", "counts", "counts divided by the artist's number of tracks", OTHER),
        Item(
            "network",
            "Table 2",
            "Table 2; its 128x43x1 after the first convolution must be 128x43x16",
            SAME,
        ),
        Item("task of an epoch of an MTN", "silent", "one drawn for each epoch", SILENT),
        Item("prediction of a track", "mean over segments", "mean over segments", SAME),
        Item(
            "scores",
            "log loss, F1",
            "log loss (natural logarithm, probabilities of 1e-8 at least), macro F1",
            SAME,
        ),
        Item(
            "wide networks",
            "as many parameters as the MTN",
            "exactly as many as the MTN with genre; scored by transfer and by their own softmax",
            SAME,
        ),
    ]


def _seconds(frames, spectrogram):
    return frames * spectrogram["hop_length"] / spectrogram["sample_rate"]


def _item(name, paper, here, same):
    """Return an item; `same` is a truth, or the paper's number, which `here` is compared with."""
    if not isinstance(same, bool):
        same = float(here) == same
    return Item(name, paper, here, SAME if same else OTHER)

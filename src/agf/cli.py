"""The command line: ``agf networks``, ``tables``, ``export``, ``predict`` and more."""

import argparse
import csv
import json
import os
import sys
from pathlib import Path

from agf.errors import UserError
from agf.faults import describe_fault
from agf.tasks import AGF_TASKS

PAPER = {"epochs": 200, "n_train_tracks": 21_250, "batch_size": 64}
"""The paper's schedule on fma_medium (section 4)."""

PAPER_OUTPUTS = {"g": 16} | dict.fromkeys(AGF_TASKS, 40)
"""The paper's 16 top genres and 40 topics."""


def main(arguments=None):
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        What follows ``agf``; by default the process's own arguments.

    Returns
    -------
    int
        0, or 1 after a user's mistake or a fault of the machine, told in one sentence; 3 where
        ``predict`` left out files that it could not use.
    """
    options = _parser().parse_args(arguments)
    if hasattr(sys.stdout, "reconfigure"):
        # Names of artists and files may hold what the terminal's encoding has not.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = options.run(options)
        sys.stdout.flush()
        return code or 0
    except UserError as error:
        print(f"agf: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever reads has seen enough; Python's own flush at the end must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        sentence = describe_fault(error)
        if sentence is None:
            raise
        print(f"agf: {sentence}", file=sys.stderr)
        return 1


def _parser():
    parser = argparse.ArgumentParser(
        prog="agf", description="Music genre recognition by transfer from artist group factors."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    networks = commands.add_parser(
        "networks", help="list the 35 networks of the paper: tasks, parameters, epochs, updates"
    )
    networks.add_argument("--json", action="store_true", help="print JSON")
    networks.set_defaults(run=_networks)

    tables = commands.add_parser("tables", help="make the tables and the figure of a metrics file")
    tables.add_argument(
        "--metrics", type=Path, required=True, metavar="FILE", help="CSV like tables/metrics.csv"
    )
    tables.add_argument(
        "--out", type=Path, default=Path("tables"), metavar="DIR", help="default: tables"
    )
    tables.add_argument(
        "--published",
        type=Path,
        default=Path("resources/paper"),
        metavar="DIR",
        help="published tables, shown beside the paper's own corpus and split",
    )
    tables.set_defaults(run=_tables)

    rejected = commands.add_parser("rejected", help="list the rejected tracks and why, as CSV")
    rejected.add_argument("results", type=Path, metavar="results/CORPUS")
    rejected.set_defaults(run=_rejected)

    summary = commands.add_parser("summary", help="print the best rows of a run's Table 4")
    summary.add_argument("results", type=Path, metavar="results/CORPUS")
    summary.set_defaults(run=_summary)

    report = commands.add_parser("report", help="write a run's page, report.html, anew")
    report.add_argument("results", type=Path, metavar="results/CORPUS")
    report.add_argument(
        "--out", type=Path, metavar="FILE", help="default: report.html in that folder"
    )
    report.set_defaults(run=_report)

    status = commands.add_parser("status", help="print how far a run is, stage by stage")
    status.add_argument("results", type=Path, metavar="results/CORPUS")
    status.set_defaults(run=_status)

    verify = commands.add_parser(
        "verify", help="hold the files of a finished run against what it wrote"
    )
    verify.add_argument("results", type=Path, metavar="results/CORPUS")
    verify.set_defaults(run=_verify)

    export = commands.add_parser(
        "export", help="write a trained case as a folder of its own: weights, ONNX, model card"
    )
    export.add_argument("results", type=Path, metavar="results/CORPUS")
    export.add_argument("--case", required=True, help="for example mtn-gsedm")
    export.add_argument(
        "--out", type=Path, default=Path("model"), metavar="DIR", help="default: model"
    )
    export.add_argument("--split", help="default: the first one there")
    export.add_argument("--seed", type=int, help="default: the first one there")
    export.set_defaults(run=_export)

    predict = commands.add_parser(
        "predict", help="name the genre of audio files; exit code 3 where some could not be used"
    )
    predict.add_argument("paths", nargs="+", metavar="FILES_OR_FOLDERS")
    predict.add_argument(
        "--model", type=Path, required=True, metavar="DIR", help="folder that agf export wrote"
    )
    predict.add_argument("--format", choices=("csv", "json", "parquet"), default="csv")
    predict.add_argument("--out", type=Path, metavar="FILE", help="default: print")
    predict.add_argument(
        "--id",
        choices=("path", "name"),
        default="path",
        help="what a file is called: its path, or its name without folder and ending",
    )
    predict.add_argument(
        "--vote",
        choices=("mean", "majority"),
        default="mean",
        help="how windows become a track: mean of their probabilities, or share of their votes",
    )
    predict.add_argument(
        "--excerpt",
        action="store_true",
        help="of longer tracks, take the piece that the corpus took, not all",
    )
    predict.add_argument(
        "--curve", type=Path, metavar="DIR", help="draw spectrogram and genres over time"
    )
    predict.add_argument("--backend", choices=("onnx", "torch"), default="onnx")
    predict.add_argument("--threads", type=int, default=1, help="of the networks; default: 1")
    predict.set_defaults(run=_predict)

    serve = commands.add_parser(
        "serve", help="open a page on this machine that names the genre of audio files"
    )
    serve.add_argument(
        "--model", type=Path, required=True, metavar="DIR", help="folder that agf export wrote"
    )
    serve.add_argument("--port", type=int, default=8000, help="default: 8000")
    serve.set_defaults(run=_serve)
    return parser


def _networks(options):
    # torch is slow to import, and only this command needs it.
    from agf.networks.model import describe_networks

    rows = describe_networks(**PAPER, n_outputs=PAPER_OUTPUTS)
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print("The paper's schedule: 16 genres, 40 topics, 21,250 training tracks, batches of 64.")
    print(f"{'network':<12}{'tasks':<8}{'parameters':>12}{'epochs':>8}{'updates':>10}")
    for row in rows:
        print(
            f"{row['network']:<12}{row['tasks']:<8}{row['parameters']:>12,}"
            f"{row['epochs']:>8,}{row['updates']:>10,}"
        )


def _tables(options):
    from agf.evaluation.documents import write_tables
    from agf.evaluation.published import read_published

    published = read_published(options.published) if options.published.is_dir() else None
    for path in write_tables(options.metrics, options.out, published=published):
        print(path)


def _rejected(options):
    from agf.corpus.selection import list_rejected

    rows = list_rejected(options.results)
    out = csv.writer(sys.stdout)
    out.writerow(("track_id", "path", "reason"))
    if sys.stdout.isatty():
        # A name may hold what a terminal takes for a command.
        rows = [(track, *map(_printable, texts)) for track, *texts in rows]
    out.writerows(rows)


def _printable(text):
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def _summary(options):
    from agf.evaluation.run import summarise_run

    print(summarise_run(options.results))


def _report(options):
    from agf.evaluation.report.inputs import find_files
    from agf.evaluation.report.write import write_report

    out = options.out or options.results / "report.html"
    write_report(find_files(options.results), out)
    print(out)


def _status(options):
    from agf.status import summarise_status

    print(summarise_status(options.results))


def _verify(options):
    from agf.verify import verify_results

    n_files, n_rows, differences = verify_results(options.results)
    for difference in differences:
        print(difference)
    if differences:
        raise UserError(f"{options.results} is not as the run left it ({len(differences)} times).")
    print(f"{n_files} files and {n_rows} rows of features are what the run wrote.")


def _export(options):
    from agf.export.folder import export_case

    config = export_case(options.results, options.case, options.out, options.split, options.seed)
    trained_on, onnx = config["trained_on"], config["onnx"]
    print(
        f"{options.out}: {config['case']} of {trained_on['corpus']}, split {trained_on['split']}, "
        f"seed {trained_on['seed']}; ONNX and torch differ by at most {onnx['max_difference']:.1e}."
    )


def _predict(options):
    if options.format == "parquet" and options.out is None:
        raise UserError("Parquet cannot be printed: give --out FILE.")
    from agf.predict import load
    from agf.predict.files import find_sources, predict_files, results_text, write_results

    sources = find_sources(options.paths)
    model = load(options.model, options.backend, options.threads)
    results = predict_files(
        model,
        sources,
        options.vote,
        options.id,
        options.excerpt,
        options.curve,
        lambda path, reason: print(f"agf: {_printable(path)}: {reason}", file=sys.stderr),
    )
    if options.out:
        write_results(results.rows, model.genres, options.format, options.out)
    else:
        print(results_text(results.rows, model.genres, options.format), end="")
    if results.skipped:
        print(
            f"agf: {len(results.rows)} of {len(sources)} files predicted, "
            f"{len(results.skipped)} skipped",
            file=sys.stderr,
        )
        return 3


def _serve(options):
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UserError(f"{error.name} is not installed: pip install 'agf[serve]'.") from None
    from agf.serve.app import serve

    serve(options.model, options.port)

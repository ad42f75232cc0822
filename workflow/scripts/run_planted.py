from pathlib import Path

from agf.evaluation.planted import write_scores
from agf.job import job
from agf.nested import prepare_noisy_run, run_workflow
from agf.study import noisy_config, runs

source, params = snakemake.input, snakemake.params
with job(snakemake.log[0]):
    folder = Path(snakemake.output.scores).parent
    config = noisy_config(snakemake.config, params.noise)
    results = Path("results", config["corpus"])
    features = {Path(path).relative_to(params.results): path for path in source.features}
    prepare_noisy_run(folder, config, source.audio, features)
    targets = [str(results / run[3] / "predictions.parquet") for run in runs(config)]
    run_workflow(folder, params.project, targets, snakemake.threads, params.python)
    write_scores(
        runs(config),
        folder / results,
        folder / "data" / "planted_groups.csv",
        params.noise,
        snakemake.output.scores,
    )

"""Tables: the paper's Tables 1 to 5 and Figure 3, with baselines.

Reads   cases/{split}/seed{seed}/{case}/metrics.json, features/mfcc/{shard}.parquet, targets/{split}/{task}.json
Writes  provenance.json, tables/metrics.csv, tables/baselines.csv, tables/table1 ... table5 (.csv, .md), tables/figure3
        (.png, .svg), tables/SHA256SUMS
Steps   1. collect_metrics puts the metrics of all cases into one file
        2. score_baselines scores majority class, class prior and MFCC statistics with logistic regression
        3. write_provenance records data, settings, code and libraries, and the digests of what the stages wrote
        4. draw_tables makes the tables and the figure; `agf tables` makes the same from any metrics file
"""

TABLES = f"{RESULTS}/tables"

# Where a run computes changes none of its results.
RECORDED = {key: value for key, value in config.items() if key != "gpu_jobs_per_device"}


rule collect_metrics:
    input:
        contents=after("digests", contents("genre_top")),
        metrics=case_files([run[3] for run in OWN_RUNS], "metrics.json"),
    output:
        metrics=f"{TABLES}/metrics.csv",
    log:
        f"{LOGS}/collect_metrics.log",
    benchmark:
        f"{BENCHMARKS}/collect_metrics.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=memory("collect_metrics"),
        runtime=10,
    params:
        run=settings("collect_metrics.py", corpus=config["corpus"]),
    message:
        "Collecting the metrics of all cases"
    script:
        "../scripts/collect_metrics.py"


rule score_baselines:
    input:
        contents=after("digests", contents("genre_top", "mfcc", *(digest_of_split(split) for split in ALL_SPLITS))),
        mfcc=ancient(expand(rules.extract_mfcc.output.mfcc, shard=SHARDS)),
        tracks=ancient(TRACKS),
        splits=ancient(expand(f"{RESULTS}/splits/{{split}}.parquet", split=ALL_SPLITS)),
    output:
        baselines=f"{TABLES}/baselines.csv",
    log:
        f"{LOGS}/score_baselines.log",
    benchmark:
        f"{BENCHMARKS}/score_baselines.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=memory("score_baselines"),
        runtime=30,
    params:
        run=settings("score_baselines.py", seed=SEED),
    message:
        "Scoring the baselines"
    script:
        "../scripts/score_baselines.py"


rule write_provenance:
    input:
        contents=after("digests", contents(*DIGESTS)),
        files=provenance_files,
        lock="requirements.lock",
    output:
        provenance=f"{RESULTS}/provenance.json",
    log:
        f"{LOGS}/write_provenance.log",
    benchmark:
        f"{BENCHMARKS}/write_provenance.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=memory("write_provenance"),
        runtime=10,
    params:
        run=settings("write_provenance.py", configuration=RECORDED, scripts=script_hashes()),
        results=lambda wildcards: RESULTS,
    message:
        "Recording what the run was made of"
    script:
        "../scripts/write_provenance.py"


rule draw_tables:
    input:
        contents=after("digests", contents("genre_top")),
        metrics=rules.collect_metrics.output.metrics,
        baselines=rules.score_baselines.output.baselines,
        targets=expand(f"{RESULTS}/targets/{SPLIT}/{{task}}.json", task=AGF_TASKS),
        tracks=ancient(TRACKS),
        provenance=rules.write_provenance.output.provenance,
        published=expand("resources/paper/table{n}.csv", n=[3, 4, 5]),
    output:
        tables=expand(f"{TABLES}/table{{n}}.{{kind}}", n=range(1, 6), kind=["csv", "md"]),
        figure=expand(f"{TABLES}/figure3.{{kind}}", kind=["png", "svg"]),
        sums=f"{TABLES}/SHA256SUMS",
    log:
        f"{LOGS}/draw_tables.log",
    benchmark:
        f"{BENCHMARKS}/draw_tables.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=memory("draw_tables"),
        runtime=10,
    params:
        run=settings("draw_tables.py", warnings=leaks(config)),
        published=lambda wildcards, input: os.path.dirname(input.published[0]),
        out=lambda wildcards, output: os.path.dirname(output.tables[0]),
    message:
        "Drawing the tables and the figure"
    script:
        "../scripts/draw_tables.py"


rule tables:
    input:
        rules.targets.input,
        rules.draw_tables.output,
    message:
        "Tables are complete"

"""Tables: the paper's Tables 1 to 5 and Figure 3, with baselines.

Reads   cases/{split}/seed{seed}/{case}/metrics.json, features/mfcc/{shard}.parquet, targets/{split}/{task}.json
Writes  report.html, provenance.json, tables/metrics.csv, tables/baselines.csv, tables/table1 ... table5 (.csv, .md, .tex),
        tables/figure3 (.png, .svg), tables/SHA256SUMS, tables/comparisons (.csv, .md, .tex), tables/bootstrap.csv,
        tables/genres.csv and, in a study, tables/leakage and tables/clusterings (.csv, .md, .tex)
Steps   1. collect_metrics puts the metrics of all cases into one file
        2. score_baselines scores majority class, class prior and MFCC statistics with two classifiers, in every split
        3. write_provenance records data, settings, code and libraries, and the digests of what the stages wrote
        4. draw_tables makes the tables and the figure; `agf tables` makes the same from any metrics file
        5. compare_cases tests the differences between systems, and draws artists again for the intervals of single cases
        6. compare_protocols puts the same cases under each protocol side by side
        7. compare_clusterings puts the same cases with each clustering side by side
        8. sum_tables writes the checksums of all these
        9. write_report puts everything into one page
"""

TABLES = f"{RESULTS}/tables"

FIRST_RUN = [folder for split, seed, _, folder in OWN_RUNS if (split, seed) == (SPLIT, SEED)]
FIRST_NETWORKS = f"{RESULTS}/networks/{SPLIT}/seed{SEED}"

# Where a run computes changes none of its results, nor does what runs beside it (planted.smk).
RECORDED = {key: value for key, value in config.items() if key not in ("gpu_jobs_per_device", "planted")}


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
        run=lambda wildcards: settings("collect_metrics.py", corpus=config["corpus"]),
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
        runtime=240,
    params:
        run=lambda wildcards: settings("score_baselines.py", seed=SEED),
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
        run=lambda wildcards: settings("write_provenance.py", configuration=RECORDED, scripts=script_hashes()),
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
        targets=expand(f"{RESULTS}/targets/{SPLIT}/{{task}}.json", task=RUN_AGF_TASKS),
        tracks=ancient(TRACKS),
        provenance=rules.write_provenance.output.provenance,
        published=expand("resources/paper/table{n}.csv", n=[3, 4, 5]),
    output:
        tables=expand(f"{TABLES}/table{{n}}.{{kind}}", n=range(1, 6), kind=["csv", "md", "tex"]),
        pages=[in_report(f"{TABLES}/table{n}.html", "Tables", f"Table {n}", f"table{n}") for n in range(1, 6)],
        baselines=f"{TABLES}/baselines.tex",
        baselines_page=in_report(f"{TABLES}/baselines.html", "Tables", "Baselines", "baselines"),
        figure=in_report(f"{TABLES}/figure3.svg", "Figures", "Figure 3", "figure3"),
        bitmap=f"{TABLES}/figure3.png",
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
        run=lambda wildcards: settings("draw_tables.py", warnings=leaks(config)),
        published=lambda wildcards, input: os.path.dirname(input.published[0]),
        out=lambda wildcards, output: os.path.dirname(output.tables[0]),
    message:
        "Drawing the tables and the figure"
    script:
        "../scripts/draw_tables.py"


rule compare_cases:
    input:
        contents=after("digests", contents("genre_top", "artist")),
        metrics=rules.collect_metrics.output.metrics,
        splits=ancient(expand(f"{RESULTS}/splits/{{split}}.parquet", split=OWN_SPLITS)),
        predictions=case_files([run[3] for run in OWN_RUNS], "predictions.parquet"),
        tracks=ancient(TRACKS),
        provenance=rules.write_provenance.output.provenance,
    output:
        comparisons=f"{TABLES}/comparisons.csv",
        page=f"{TABLES}/comparisons.md",
        latex=f"{TABLES}/comparisons.tex",
        html=in_report(f"{TABLES}/comparisons.html", "Study", "Comparisons", "comparisons"),
        bootstrap=f"{TABLES}/bootstrap.csv",
        genres=f"{TABLES}/genres.csv",
    log:
        f"{LOGS}/compare_cases.log",
    benchmark:
        f"{BENCHMARKS}/compare_cases.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=memory("compare_cases"),
        runtime=60,
    params:
        run=lambda wildcards: settings("compare_cases.py", seed=SEED),
    message:
        "Comparing the systems"
    script:
        "../scripts/compare_cases.py"


rule compare_protocols:
    input:
        contents=after("digests", contents("genre_top")),
        metrics=case_files(dict.fromkeys(run[3] for cases in PROTOCOL_RUNS.values() for run in cases), "metrics.json"),
        splits=ancient(expand(f"{RESULTS}/splits/{{split}}.parquet", split=ALL_SPLITS)),
        provenance=rules.write_provenance.output.provenance,
    output:
        expand(f"{TABLES}/leakage.{{kind}}", kind=["csv", "md", "tex"]),
        page=in_report(f"{TABLES}/leakage.html", "Study", "Leakage", "leakage"),
    log:
        f"{LOGS}/compare_protocols.log",
    benchmark:
        f"{BENCHMARKS}/compare_protocols.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=memory("compare_protocols"),
        runtime=10,
    params:
        run=lambda wildcards: settings("compare_protocols.py", protocols=[list(protocol) for protocol in PROTOCOL_RUNS]),
        results=lambda wildcards: RESULTS,
    message:
        "The same cases under each protocol"
    script:
        "../scripts/compare_protocols.py"


rule compare_clusterings:
    input:
        contents=after("digests", contents("genre_top")),
        metrics=case_files(dict.fromkeys(run[3] for cases in CLUSTERING_RUNS.values() for run in cases), "metrics.json"),
        splits=ancient(expand(f"{RESULTS}/splits/{{split}}.parquet", split=OWN_SPLITS)),
        provenance=rules.write_provenance.output.provenance,
    output:
        expand(f"{TABLES}/clusterings.{{kind}}", kind=["csv", "md", "tex"]),
        page=in_report(f"{TABLES}/clusterings.html", "Study", "Clusterings", "clusterings"),
    log:
        f"{LOGS}/compare_clusterings.log",
    benchmark:
        f"{BENCHMARKS}/compare_clusterings.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=memory("compare_clusterings"),
        runtime=10,
    params:
        run=lambda wildcards: settings(
            "compare_clusterings.py",
            clusterings=[[*clustering[:1], list(clustering.words), *clustering[2:]] for clustering in CLUSTERING_RUNS],
        ),
        results=lambda wildcards: RESULTS,
    message:
        "The same cases with each clustering"
    script:
        "../scripts/compare_clusterings.py"


rule sum_tables:
    input:
        contents=after("digests", contents("genre_top")),
        tables=[
            *[rules.collect_metrics.output, rules.score_baselines.output, rules.draw_tables.output],
            rules.compare_cases.output,
            *([rules.compare_protocols.output] if len(PROTOCOL_RUNS) > 1 else []),
            *([rules.compare_clusterings.output] if len(CLUSTERING_RUNS) > 1 else []),
        ],
    output:
        sums=f"{TABLES}/SHA256SUMS",
    log:
        f"{LOGS}/sum_tables.log",
    benchmark:
        f"{BENCHMARKS}/sum_tables.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=memory("sum_tables"),
        runtime=10,
    params:
        run=lambda wildcards: settings("sum_tables.py"),
    message:
        "Checksums of the tables"
    script:
        "../scripts/sum_tables.py"


rule write_report:
    input:
        **{f"table{n}": f"{TABLES}/table{n}.csv" for n in range(1, 6)},
        contents=after("digests", contents("genre_top", "artist")),
        sums=rules.sum_tables.output.sums,
        provenance=rules.write_provenance.output.provenance,
        audit=rules.audit_corpus.output.parquet,
        tracks=ancient(TRACKS),
        metrics=rules.collect_metrics.output.metrics,
        baselines=rules.score_baselines.output.baselines,
        comparisons=rules.compare_cases.output.comparisons,
        bootstrap=rules.compare_cases.output.bootstrap,
        genres=rules.compare_cases.output.genres,
        leakage=rules.compare_protocols.output[:1] if len(PROTOCOL_RUNS) > 1 else [],
        clusterings=rules.compare_clusterings.output[:1] if len(CLUSTERING_RUNS) > 1 else [],
        agreement=expand(AGREEMENT, agf=SPLIT),
        predictions=case_files(FIRST_RUN, "predictions.parquet"),
        histories=expand(f"{FIRST_NETWORKS}/{{network}}/history.parquet", network=chosen_networks(config)),
        summaries=expand(f"{FIRST_NETWORKS}/{{network}}/summary.json", network=chosen_networks(config)),
        topics=expand(f"{RESULTS}/targets/{SPLIT}/{{task}}.parquet", task=RUN_AGF_TASKS),
        top_words=expand(f"{RESULTS}/targets/{SPLIT}/{{task}}.top_words.csv", task=RUN_AGF_TASKS),
    output:
        page=in_report(f"{RESULTS}/report.html", "Report", "The whole run on one page", "page"),
    log:
        f"{LOGS}/write_report.log",
    benchmark:
        f"{BENCHMARKS}/write_report.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=memory("write_report"),
        runtime=30,
    params:
        run=lambda wildcards: settings("write_report.py", design=design_of_report()),
        benchmarks=BENCHMARKS,
    message:
        "Writing the report"
    script:
        "../scripts/write_report.py"


rule tables:
    input:
        rules.targets.input,
        rules.write_report.output,
    message:
        "Tables are complete"

"""Targets: what the networks learn, from training tracks only.

Reads   corpus/tracks.parquet, features/{mfcc,essentia}/{shard}.parquet
Writes  splits/{split}.parquet, corpus/digests/{content}.json, targets/{agf}/{task}.* and, for the demo corpus,
        targets/{agf}/agreement.csv
Steps   1. split_tracks divides the tracks into a training and an evaluation part
        2. digest_contents says in a few small files what features, metadata and split are: every job to come depends
           on those it reads of, so that features which come out as they were run nothing again
        3. fit_artist_group_factors makes dictionary, artist bag-of-words and topics of one task (m, d, e; s has words
           of its own: genres)
        4. score_agreement compares the artists' topics with the demo corpus's planted groups
"""


rule split_tracks:
    input:
        tracks=after("scan", TRACKS),
        listed=lambda wildcards: PAPER_SPLIT if wildcards.split == "paper" else [],
    output:
        split=f"{RESULTS}/splits/{{split}}.parquet",
    log:
        f"{LOGS}/split_tracks/{{split}}.log",
    benchmark:
        f"{BENCHMARKS}/split_tracks/{{split}}.tsv"
    conda:
        "../../envs/targets.yaml"
    threads: 1
    resources:
        mem_mb=memory("split_tracks"),
        runtime=30,
    params:
        run=lambda wildcards: settings(
            "split_tracks.py",
            seed=seed_of_draw(SEED, wildcards.split),
            kind=kind_of_split(wildcards.split),
            evaluation_fraction=config["split"]["evaluation_fraction"],
        ),
    message:
        "Splitting the tracks: {wildcards.split}"
    script:
        "../scripts/split_tracks.py"


checkpoint digest_contents:
    input:
        **{name: expand(f"{RESULTS}/features/{name}/{{shard}}.parquet", shard=SHARDS) for name in FEATURES},
        tracks=after("scan", TRACKS),
        genres=f"{RESULTS}/corpus/genres.parquet",
        splits=expand(f"{RESULTS}/splits/{{split}}.parquet", split=ALL_SPLITS),
    output:
        **{name: f"{RESULTS}/corpus/digests/{name}.json" for name in DIGESTS},
    log:
        f"{LOGS}/digest_contents.log",
    benchmark:
        f"{BENCHMARKS}/digest_contents.tsv"
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        mem_mb=memory("digest_contents"),
        runtime=30,
    params:
        run=lambda wildcards: settings("digest_contents.py", features=FEATURES),
    message:
        "Summing up what the jobs to come depend on"
    script:
        "../scripts/digest_contents.py"


rule fit_artist_group_factors:
    input:
        contents=after("digests", agf_contents),
        split=ancient(split_file),
        tracks=ancient(TRACKS),
        genres=ancient(f"{RESULTS}/corpus/genres.parquet"),
        features=ancient(agf_features),
    output:
        targets=f"{RESULTS}/targets/{{agf}}/{{task}}.parquet",
        bags=f"{RESULTS}/targets/{{agf}}/{{task}}.bags.parquet",
        dictionary=f"{RESULTS}/targets/{{agf}}/{{task}}.dictionary.safetensors",
        topics=f"{RESULTS}/targets/{{agf}}/{{task}}.topics.safetensors",
        top_words=f"{RESULTS}/targets/{{agf}}/{{task}}.top_words.csv",
        summary=f"{RESULTS}/targets/{{agf}}/{{task}}.json",
    log:
        f"{LOGS}/fit_artist_group_factors/{{agf}}/{{task}}.log",
    benchmark:
        f"{BENCHMARKS}/fit_artist_group_factors/{{agf}}/{{task}}.tsv"
    conda:
        "../../envs/targets.yaml"
    threads: 1
    resources:
        mem_mb=memory("fit_artist_group_factors_{task}"),
        runtime=120,
    params:
        run=lambda wildcards: settings(
            "fit_artist_group_factors.py",
            seed=seed_of_draw(SEED, wildcards.agf),
            **agf_settings(wildcards),
        ),
    message:
        "Artist Group Factors of task {wildcards.task}"
    script:
        "../scripts/fit_artist_group_factors.py"


AGREEMENT = f"{RESULTS}/targets/{{agf}}/agreement.csv" if GENERATED else []

if GENERATED:

    rule score_agreement:
        input:
            contents=after("digests", contents("artist")),
            planted=rules.generate_demo.output.planted,
            topics=expand(f"{RESULTS}/targets/{{{{agf}}}}/{{task}}.parquet", task=RUN_AGF_TASKS),
        output:
            agreement=AGREEMENT,
        log:
            f"{LOGS}/score_agreement/{{agf}}.log",
        benchmark:
            f"{BENCHMARKS}/score_agreement/{{agf}}.tsv"
        conda:
            "../../envs/targets.yaml"
        threads: 1
        resources:
            mem_mb=memory("score_agreement"),
            runtime=30,
        params:
            run=lambda wildcards: settings("score_agreement.py", seed=SEED),
        message:
            "Comparing the artists' topics with the planted groups"
        script:
            "../scripts/score_agreement.py"


rule targets:
    input:
        rules.features.input,
        # Asked for here as well, so that Snakemake sees it in the plan from the start: a file of it that is lost, or the
        # mark that a killed job leaves, would not be noticed otherwise.
        rules.digest_contents.output,
        rules.audit_corpus.output,
        all_target_files("parquet"),
        expand(AGREEMENT, agf=SPLIT),
    message:
        "Targets are complete"

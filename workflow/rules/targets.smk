"""Targets: what the networks learn, from training tracks only.

Reads   corpus/tracks.parquet, features/{mfcc,essentia}/{shard}.parquet
Writes  splits/{split}.parquet, targets/{split}/{task}.* and, for the demo corpus, targets/{split}/agreement.csv
Steps   1. split_tracks divides the tracks into a training and an evaluation part
        2. fit_artist_group_factors makes dictionary, artist bag-of-words and topics of one task (m, d, e; s has words
           of its own: genres)
        3. score_agreement compares the artists' topics with the demo corpus's planted groups
"""

SPLIT_READS = {
    "random": ["genre_top"],
    "artist": ["genre_top", "artist"],
    "album": ["genre_top", "album"],
    "fma": ["genre_top", "official_split"],
    "paper": ["genre_top"],
}
AGF_FEATURE = {"m": "mfcc", "d": "mfcc", "e": "essentia"}


checkpoint split_tracks:
    input:
        contents=after("selection", contents(*SPLIT_READS[SPLIT])),
        tracks=ancient(rules.select_tracks.output.tracks),
        listed=PAPER_SPLIT if SPLIT == "paper" else [],
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
        mem_mb=1000,
        runtime=30,
    params:
        run=settings("split_tracks.py", seed=SEED, **config["split"]),
    message:
        "Splitting the tracks: {wildcards.split}"
    script:
        "../scripts/split_tracks.py"


rule fit_artist_group_factors:
    input:
        contents=after("split", agf_contents),
        split=rules.split_tracks.output.split,
        tracks=ancient(rules.select_tracks.output.tracks),
        genres=ancient(f"{RESULTS}/corpus/genres.parquet"),
        features=ancient(agf_features),
    output:
        targets=f"{RESULTS}/targets/{{split}}/{{task}}.parquet",
        bags=f"{RESULTS}/targets/{{split}}/{{task}}.bags.parquet",
        dictionary=f"{RESULTS}/targets/{{split}}/{{task}}.dictionary.safetensors",
        topics=f"{RESULTS}/targets/{{split}}/{{task}}.topics.safetensors",
        top_words=f"{RESULTS}/targets/{{split}}/{{task}}.top_words.csv",
        summary=f"{RESULTS}/targets/{{split}}/{{task}}.json",
    log:
        f"{LOGS}/fit_artist_group_factors/{{split}}/{{task}}.log",
    benchmark:
        f"{BENCHMARKS}/fit_artist_group_factors/{{split}}/{{task}}.tsv"
    conda:
        "../../envs/targets.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        run=settings("fit_artist_group_factors.py", seed=SEED, **config["agf"]),
    message:
        "Artist Group Factors of task {wildcards.task}"
    script:
        "../scripts/fit_artist_group_factors.py"


AGREEMENT = f"{RESULTS}/targets/{{split}}/agreement.csv" if GENERATED else []

if GENERATED:

    rule score_agreement:
        input:
            planted=after("split", rules.generate_demo.output.planted),
            topics=expand(f"{RESULTS}/targets/{{{{split}}}}/{{task}}.parquet", task=AGF_TASKS),
        output:
            agreement=AGREEMENT,
        log:
            f"{LOGS}/score_agreement/{{split}}.log",
        benchmark:
            f"{BENCHMARKS}/score_agreement/{{split}}.tsv"
        conda:
            "../../envs/targets.yaml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=30,
        params:
            run=settings("score_agreement.py", seed=SEED),
        message:
            "Comparing the artists' topics with the planted groups"
        script:
            "../scripts/score_agreement.py"


rule targets:
    input:
        rules.features.input,
        rules.audit_corpus.output,
        expand(rules.fit_artist_group_factors.output.targets, split=SPLIT, task=AGF_TASKS),
        expand(AGREEMENT, split=SPLIT),
    message:
        "Targets are complete"

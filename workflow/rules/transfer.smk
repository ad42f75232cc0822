"""Transfer: from the networks' features to genre, in 62 cases (five of them aliases) and four wide baselines.

Reads   networks/{agf}/seed{seed}/{network}/weights.safetensors, features/mels.safetensors
Writes  embeddings/{agf}/seed{seed}/{network}.safetensors, cases/{protocol}/seed{seed}/{case}/predictions.parquet,
        mlp.safetensors, metrics.json
Steps   1. embed_windows computes the 256 features of every one-second window of every track
        2. train_transfer trains an MLP on the training tracks' windows and averages its predictions over each track
        3. score_own_softmax averages a wide network's own predictions instead
        4. score_cases computes the metrics of every case
The embeddings are removed once the last case that reads them is done (snakemake --notemp keeps them).
"""

CASE_FOLDER = f"{RESULTS}/cases/{{protocol}}/seed{{seed}}/{{case}}"


rule embed_windows:
    input:
        contents=after("digests", contents("mel")),
        weights=rules.train_network.output.weights,
        mels=ancient(MELS),
        tracks=ancient(TRACKS),
    output:
        embedding=temp(f"{RESULTS}/embeddings/{{agf}}/seed{{seed}}/{{network}}.safetensors"),
    log:
        f"{LOGS}/embed_windows/{{agf}}/seed{{seed}}/{{network}}.log",
    benchmark:
        f"{BENCHMARKS}/embed_windows/{{agf}}/seed{{seed}}/{{network}}.tsv"
    conda:
        "../../envs/networks.yaml"
    threads: 1
    resources:
        mem_mb=memory("embed_windows"),
        runtime=240,
        gpu_slot=1,
    params:
        run=lambda wildcards: settings("embed_windows.py", hop_frames=config["transfer"]["hop_frames"]),
    message:
        "Embedding all windows with {wildcards.network}"
    script:
        "../scripts/embed_windows.py"


rule train_transfer:
    input:
        contents=after("digests", case_contents),
        embeddings=case_embeddings,
        tracks=ancient(TRACKS),
        split=ancient(split_file),
    output:
        predictions=f"{CASE_FOLDER}/predictions.parquet",
        mlp=f"{CASE_FOLDER}/mlp.safetensors",
    log:
        f"{LOGS}/train_transfer/{{protocol}}/seed{{seed}}/{{case}}.log",
    benchmark:
        f"{BENCHMARKS}/train_transfer/{{protocol}}/seed{{seed}}/{{case}}.tsv"
    conda:
        "../../envs/networks.yaml"
    threads: 1
    resources:
        mem_mb=memory("train_transfer"),
        runtime=240,
        gpu_slot=1,
    params:
        run=lambda wildcards: settings(
            "train_transfer.py",
            **{key: config["transfer"][key] for key in config["transfer"] if key != "hop_frames"}
            | {"fit_rows": fit_rows_of_cases(config, wildcards.protocol)},
        ),
    message:
        "Transfer to genre: {wildcards.case}"
    script:
        "../scripts/train_transfer.py"


rule score_own_softmax:
    input:
        contents=after("digests", case_contents),
        embedding=f"{RESULTS}/embeddings/{{protocol}}/seed{{seed}}/{{case}}.safetensors",
        tracks=ancient(TRACKS),
        split=ancient(split_file),
    output:
        predictions=f"{CASE_FOLDER}-softmax/predictions.parquet",
    log:
        f"{LOGS}/score_own_softmax/{{protocol}}/seed{{seed}}/{{case}}.log",
    benchmark:
        f"{BENCHMARKS}/score_own_softmax/{{protocol}}/seed{{seed}}/{{case}}.tsv"
    conda:
        "../../envs/networks.yaml"
    threads: 1
    resources:
        mem_mb=memory("score_own_softmax"),
        runtime=30,
    params:
        run=lambda wildcards: settings("score_own_softmax.py"),
    message:
        "Scoring {wildcards.case} by its own softmax"
    script:
        "../scripts/score_own_softmax.py"


rule score_cases:
    input:
        contents=after("digests", contents("genre_top")),
        predictions=case_files(CASE_FOLDERS, "predictions.parquet"),
    output:
        metrics=case_files(CASE_FOLDERS, "metrics.json"),
    log:
        f"{LOGS}/score_cases.log",
    benchmark:
        f"{BENCHMARKS}/score_cases.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=memory("score_cases"),
        runtime=10,
    params:
        run=lambda wildcards: settings("score_cases.py"),
    message:
        "Scoring the predictions of all cases"
    script:
        "../scripts/score_cases.py"


rule transfer:
    input:
        rules.targets.input,
        rules.score_cases.output,
    message:
        "Transfer is complete"

"""Networks: 5 single-task (STN), 26 multi-task (MTN) and 4 wide single-task networks (wSTN), one job each.

Reads   features/mel/{shard}.parquet, corpus/tracks.parquet, splits/{split}.parquet, targets/{agf}/{task}.parquet
Writes  features/mels.safetensors, networks/{split}/scaler.parquet, networks/{agf}/seed{seed}/{network}/weights.safetensors, history.parquet,
        summary.json
Steps   1. pack_mels puts all spectrograms into one file, which every job maps into its memory
        2. fit_scaler measures mean and deviation of every mel band over the training tracks
        3. train_network trains one network; a killed job goes on from its last checkpoint
"""

NETWORK_FOLDER = f"{RESULTS}/networks/{{agf}}/seed{{seed}}/{{network}}"


rule pack_mels:
    input:
        contents=after("digests", contents("mel")),
        mel=ancient(expand(rules.extract_mel.output.mel, shard=SHARDS)),
        tracks=ancient(TRACKS),
    output:
        # Not temporary: what reads a removed file as ancient would run again with it.
        mels=MELS,
    log:
        f"{LOGS}/pack_mels.log",
    benchmark:
        f"{BENCHMARKS}/pack_mels.tsv"
    conda:
        "../../envs/networks.yaml"
    threads: 1
    resources:
        mem_mb=memory("pack_mels"),
        runtime=60,
    params:
        run=lambda wildcards: settings("pack_mels.py"),
    message:
        "All mel spectrograms in one file"
    script:
        "../scripts/pack_mels.py"


rule fit_scaler:
    input:
        contents=after("digests", scaler_contents),
        split=ancient(SPLITS),
        mels=ancient(MELS),
    output:
        scaler=f"{RESULTS}/networks/{{split}}/scaler.parquet",
    log:
        f"{LOGS}/fit_scaler/{{split}}.log",
    benchmark:
        f"{BENCHMARKS}/fit_scaler/{{split}}.tsv"
    conda:
        "../../envs/networks.yaml"
    threads: 1
    resources:
        mem_mb=memory("fit_scaler"),
        runtime=30,
    params:
        run=lambda wildcards: settings("fit_scaler.py", top_db=config["spectrogram"]["top_db"]),
    message:
        "Mean and deviation of every mel band"
    script:
        "../scripts/fit_scaler.py"


rule train_network:
    input:
        contents=after("digests", network_contents),
        split=ancient(split_file),
        mels=ancient(MELS),
        tracks=ancient(TRACKS),
        scaler=lambda wildcards: f"{RESULTS}/networks/{split_of(wildcards.agf)}/scaler.parquet",
        targets=network_targets,
    output:
        weights=f"{NETWORK_FOLDER}/weights.safetensors",
        history=f"{NETWORK_FOLDER}/history.parquet",
        summary=f"{NETWORK_FOLDER}/summary.json",
    log:
        f"{LOGS}/train_network/{{agf}}/seed{{seed}}/{{network}}.log",
    benchmark:
        f"{BENCHMARKS}/train_network/{{agf}}/seed{{seed}}/{{network}}.tsv"
    conda:
        "../../envs/networks.yaml"
    threads: 1
    resources:
        mem_mb=memory("train_network"),
        runtime=720,
        gpu_slot=1,
    params:
        run=lambda wildcards: settings("train_network.py", top_db=config["spectrogram"]["top_db"], **config["networks"]),
        resume=f"{RESULTS}/cache/resume",
    message:
        "Training {wildcards.network}"
    script:
        "../scripts/train_network.py"


rule networks:
    input:
        rules.targets.input,
        all_network_files("weights.safetensors"),
    message:
        "Networks are complete"

"""Features: from audio to mel spectrograms, MFCC and Essentia descriptors, shard by shard.

Reads   corpus/shards/{shard}.parquet and the audio
Writes  features/{mel,mfcc,essentia,chroma}/{shard}.parquet, corpus/tracks.parquet, corpus/rejected.parquet
Steps   1. extract_mel decodes a shard's clips and computes their mel spectrograms
        2. extract_mfcc computes MFCC from the mel spectrograms
        3. extract_essentia computes 4,374 descriptors of every decoded clip
        4. extract_chroma computes chroma of every decoded clip, where the study has task c
        5. select_tracks keeps the tracks that have all features and lists the others with their reason
Rows whose audio, settings and code have not changed are kept, so that one new clip costs one clip.
"""

EXCERPT = {"max_duration": config["max_duration"], "offset": config["offset"]}


rule extract_mel:
    input:
        manifest=after("scan", f"{RESULTS}/corpus/shards/{{shard}}.parquet"),
    output:
        mel=update(f"{RESULTS}/features/mel/{{shard}}.parquet"),
        rejected=update(f"{RESULTS}/features/mel/{{shard}}.rejected.parquet"),
    log:
        f"{LOGS}/extract_mel/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/extract_mel/{{shard}}.tsv"
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        mem_mb=memory("extract_mel"),
        runtime=60,
    params:
        run=lambda wildcards: settings(
            "extract_mel.py", min_seconds=config["min_seconds"], **EXCERPT, **config["spectrogram"]
        ),
        data_dir=config["data_dir"],
    message:
        "Mel spectrograms of shard {wildcards.shard}"
    script:
        "../scripts/extract_mel.py"


rule extract_mfcc:
    input:
        mel=after("scan", rules.extract_mel.output.mel),
    output:
        mfcc=update(f"{RESULTS}/features/mfcc/{{shard}}.parquet"),
    log:
        f"{LOGS}/extract_mfcc/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/extract_mfcc/{{shard}}.tsv"
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        mem_mb=memory("extract_mfcc"),
        runtime=30,
    params:
        run=lambda wildcards: settings("extract_mfcc.py", top_db=config["spectrogram"]["top_db"], **config["mfcc"]),
    message:
        "MFCC of shard {wildcards.shard}"
    script:
        "../scripts/extract_mfcc.py"


rule extract_essentia:
    input:
        manifest=after("scan", f"{RESULTS}/corpus/shards/{{shard}}.parquet"),
        mel=rules.extract_mel.output.mel,
    output:
        essentia=update(f"{RESULTS}/features/essentia/{{shard}}.parquet"),
        rejected=update(f"{RESULTS}/features/essentia/{{shard}}.rejected.parquet"),
    log:
        f"{LOGS}/extract_essentia/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/extract_essentia/{{shard}}.tsv"
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        mem_mb=memory("extract_essentia"),
        runtime=120,
    params:
        run=lambda wildcards: settings("extract_essentia.py", **EXCERPT),
        data_dir=config["data_dir"],
    message:
        "Essentia descriptors of shard {wildcards.shard}"
    script:
        "../scripts/extract_essentia.py"


rule extract_chroma:
    input:
        manifest=after("scan", f"{RESULTS}/corpus/shards/{{shard}}.parquet"),
        mel=rules.extract_mel.output.mel,
    output:
        chroma=update(f"{RESULTS}/features/chroma/{{shard}}.parquet"),
    log:
        f"{LOGS}/extract_chroma/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/extract_chroma/{{shard}}.tsv"
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        mem_mb=memory("extract_chroma"),
        runtime=60,
    params:
        run=lambda wildcards: settings(
            "extract_chroma.py",
            sample_rate=config["spectrogram"]["sample_rate"],
            min_seconds=config["min_seconds"],
            **EXCERPT,
            **config["chroma"],
        ),
        data_dir=config["data_dir"],
    message:
        "Chroma of shard {wildcards.shard}"
    script:
        "../scripts/extract_chroma.py"


rule select_tracks:
    input:
        scan=after("scan", f"{RESULTS}/corpus/scan.parquet"),
        mel=expand(rules.extract_mel.output.mel, shard=SHARDS),
        mfcc=expand(rules.extract_mfcc.output.mfcc, shard=SHARDS),
        essentia=expand(rules.extract_essentia.output.essentia, shard=SHARDS),
        rejected=expand(
            [rules.extract_mel.output.rejected, rules.extract_essentia.output.rejected],
            shard=SHARDS,
        ),
    output:
        tracks=f"{RESULTS}/corpus/tracks.parquet",
        rejected=f"{RESULTS}/corpus/rejected.parquet",
    log:
        f"{LOGS}/select_tracks.log",
    benchmark:
        f"{BENCHMARKS}/select_tracks.tsv"
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        mem_mb=memory("select_tracks"),
        runtime=30,
    params:
        run=lambda wildcards: settings("select_tracks.py", shards=config["shards"]),
    message:
        "Selecting the tracks that have every feature"
    script:
        "../scripts/select_tracks.py"


rule features:
    input:
        rules.corpus.input,
        rules.select_tracks.output,
    message:
        "Features are complete"

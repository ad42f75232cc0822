"""Corpus: from audio files and FMA metadata to shards of candidates.

Reads   {data_dir}/fma_metadata/tracks.csv, genres.csv and {data_dir}/{audio_dir}/NNN/NNNNNN.mp3, or a tree of tagged
        music files
Writes  corpus/scan.parquet, corpus/genres.parquet, corpus/shards/{shard}.parquet, corpus/audit.md, corpus/audit.parquet
Steps   1. generate_demo makes the demo corpus, where that is the corpus
        2. scan_corpus finds every track's audio and divides the tracks into shards
        3. audit_corpus counts artists, albums, annotations and duplicates, once the tracks are selected and split
Tracks that cannot be used get a reason; select_tracks (features.smk) collects the reasons.
"""

if GENERATED:

    rule generate_demo:
        output:
            metadata=METADATA,
            planted=f"{config['data_dir']}/planted_groups.csv",
            audio=directory(AUDIO),
        log:
            f"{LOGS}/generate_demo.log",
        benchmark:
            f"{BENCHMARKS}/generate_demo.tsv"
        conda:
            "../../envs/features.yaml"
        threads: 2
        resources:
            mem_mb=memory("generate_demo"),
            runtime=30,
        params:
            run=lambda wildcards: settings("generate_demo.py", demo=config["demo"], seed=SEED),
            out=lambda wildcards, output: os.path.dirname(output.planted),
        message:
            "Generating the demo corpus in {config[data_dir]}"
        script:
            "../scripts/generate_demo.py"


checkpoint scan_corpus:
    input:
        metadata=[] if config["source"] == "folder" else METADATA,
        tags_file=config["tags_file"] or [],
        unpacked=UNPACKED,
    output:
        scan=f"{RESULTS}/corpus/scan.parquet",
        genres=f"{RESULTS}/corpus/genres.parquet",
        shards=expand(f"{RESULTS}/corpus/shards/{{shard}}.parquet", shard=SHARDS),
    log:
        f"{LOGS}/scan_corpus.log",
    benchmark:
        f"{BENCHMARKS}/scan_corpus.tsv"
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        mem_mb=memory("scan_corpus"),
        runtime=60,
    params:
        run=scan_settings,
        data_dir=lambda wildcards: config["data_dir"],
        audio_dir=config["audio_dir"],
        tags_file=config["tags_file"],
        cache=lambda wildcards, output: f"{os.path.dirname(os.path.dirname(output.scan))}/cache",
    message:
        "Scanning {AUDIO}"
    script:
        "../scripts/scan_corpus.py"


rule audit_corpus:
    input:
        scan=after("scan", f"{RESULTS}/corpus/scan.parquet"),
        genres=f"{RESULTS}/corpus/genres.parquet",
        tracks=f"{RESULTS}/corpus/tracks.parquet",
        rejected=f"{RESULTS}/corpus/rejected.parquet",
        splits=[f"{RESULTS}/splits/{kind}.parquet" for kind in listed(config["split"]["kind"])],
    output:
        parquet=f"{RESULTS}/corpus/audit.parquet",
        page=f"{RESULTS}/corpus/audit.md",
    log:
        f"{LOGS}/audit_corpus.log",
    benchmark:
        f"{BENCHMARKS}/audit_corpus.tsv"
    conda:
        "../../envs/features.yaml"
    threads: 1
    resources:
        mem_mb=memory("audit_corpus"),
        runtime=30,
    params:
        run=lambda wildcards: settings("audit_corpus.py"),
    message:
        "Auditing the corpus"
    script:
        "../scripts/audit_corpus.py"


rule corpus:
    input:
        rules.scan_corpus.output.scan,
    message:
        "The corpus is scanned"

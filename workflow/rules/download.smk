"""Download: FMA's metadata and clips, and the authors' split, where the configuration asks for them.

Reads   https://os.unil.cloud.switch.ch/fma/ and, for split.kind paper, the authors' repository
Writes  data/fma/fma_metadata/tracks.csv, genres.csv, data/fma/{archive}/NNN/NNNNNN.mp3, data/paper/fma_labels.split
Steps   1. download_archive fetches a zip archive, goes on where it stopped, and checks its sha1
        2. unpack_metadata and unpack_audio unpack it, check every file, and let the archive go
        3. download_paper_split fetches the authors' list of tracks and checks its sha256
Nothing here runs where data_dir is a folder of your own.
"""

if DOWNLOADED:

    localrules:
        download_archive,

    rule download_archive:
        output:
            archive=temp(f"{config['data_dir']}/{{archive}}.zip"),
        log:
            f"{LOGS}/download_archive/{{archive}}.log",
        benchmark:
            f"{BENCHMARKS}/download_archive/{{archive}}.tsv"
        conda:
            "../../envs/features.yaml"
        threads: 1
        resources:
            mem_mb=memory("download_archive"),
            runtime=2880,
        params:
            url=lambda wildcards: f"{ARCHIVES_URL}{wildcards.archive}.zip",
            checksum=lambda wildcards: ARCHIVES[wildcards.archive],
        message:
            "Downloading {wildcards.archive}.zip"
        script:
            "../scripts/download_file.py"

    rule unpack_metadata:
        input:
            archive=f"{config['data_dir']}/fma_metadata.zip",
        output:
            METADATA,
        log:
            f"{LOGS}/unpack_metadata.log",
        benchmark:
            f"{BENCHMARKS}/unpack_metadata.tsv"
        conda:
            "../../envs/features.yaml"
        threads: 2
        resources:
            mem_mb=memory("unpack_metadata"),
            runtime=30,
        params:
            folder=lambda wildcards, output: os.path.dirname(output[0]),
            only=["genres.csv", "tracks.csv"],
        message:
            "Unpacking FMA's metadata"
        script:
            "../scripts/unpack_archive.py"

    rule unpack_audio:
        input:
            archive=f"{AUDIO}.zip",
        output:
            # The clips are not declared: Snakemake empties a declared folder, and a killed unpack could not go on.
            unpacked=UNPACKED,
        log:
            f"{LOGS}/unpack_audio.log",
        benchmark:
            f"{BENCHMARKS}/unpack_audio.tsv"
        conda:
            "../../envs/features.yaml"
        threads: 4
        resources:
            mem_mb=memory("unpack_audio"),
            runtime=720,
        params:
            folder=lambda wildcards, output: output.unpacked.removesuffix(".unpacked.json"),
            only=None,
        message:
            "Unpacking the clips to {AUDIO}"
        script:
            "../scripts/unpack_archive.py"


if "paper" in ALL_SPLITS:

    localrules:
        download_paper_split,

    rule download_paper_split:
        output:
            listed=PAPER_SPLIT,
        log:
            f"{LOGS}/download_paper_split.log",
        benchmark:
            f"{BENCHMARKS}/download_paper_split.tsv"
        conda:
            "../../envs/features.yaml"
        threads: 1
        resources:
            mem_mb=memory("download_paper_split"),
            runtime=10,
        params:
            url=PAPER_SPLIT_URL,
            checksum=PAPER_SPLIT_CHECKSUM,
        message:
            "Downloading the authors' split"
        script:
            "../scripts/download_file.py"

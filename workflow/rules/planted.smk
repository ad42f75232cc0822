"""Planted: do artist groups help, on the demo corpus, whose groups and true genres are known?

Reads   {data_dir}/{audio_dir}, features/{mel,mfcc,essentia}/{shard}.parquet
Writes  planted/noise-{noise}/ (a whole run in a folder of its own), planted/noise-{noise}/scores.csv,
        planted/planted (.csv, .md, .tex, .html, .png, .svg)
Steps   1. run_planted runs the workflow itself once more with another rate of label noise, up to the cases'
           predictions, and scores them against annotated and true genres
        2. draw_planted puts all rates into one table and one figure
Only for the demo corpus, and not part of `all`. Not in tables/: `agf verify` takes what lies there for tables of
the run around these.
"""

if GENERATED:
    PLANTED = f"{RESULTS}/planted"
    NOISE = {str(float(noise)): noise for noise in config["planted"]["label_noise"]}

    localrules:
        planted,

    rule run_planted:
        input:
            contents=after("digests", contents("artist", *FEATURES)),
            planted=ancient(rules.generate_demo.output.planted),
            audio=ancient(AUDIO),
            features=ancient(
                expand(
                    [*rules.extract_mel.output, *rules.extract_mfcc.output, *rules.extract_essentia.output],
                    shard=SHARDS,
                )
            ),
        output:
            scores=f"{PLANTED}/noise-{{noise}}/scores.csv",
        log:
            f"{LOGS}/run_planted/{{noise}}.log",
        benchmark:
            f"{BENCHMARKS}/run_planted/{{noise}}.tsv"
        conda:
            "../../envs/networks.yaml"
        threads: lambda wildcards: workflow.cores
        resources:
            mem_mb=lambda wildcards, threads, attempt: threads * memory("run_planted")(wildcards, attempt),
            runtime=1440,
        params:
            # Not how many jobs share a GPU, which changes no result. All scripts: the run within this job looks by itself
            # which of its jobs a change concerns.
            run=lambda wildcards: settings(
                "run_planted.py",
                configuration=noisy_config(config | {"gpu_jobs_per_device": None}, NOISE[wildcards.noise]),
                scripts=script_hashes(),
            ),
            noise=lambda wildcards: NOISE[wildcards.noise],
            results=lambda wildcards: RESULTS,
            project=workflow.basedir,
            python=sys.executable,
        message:
            "The workflow once more, with label noise {wildcards.noise}"
        script:
            "../scripts/run_planted.py"

    rule draw_planted:
        input:
            contents=after("digests", contents("artist")),
            scores=expand(rules.run_planted.output.scores, noise=NOISE),
        output:
            expand(f"{PLANTED}/planted.{{kind}}", kind=["csv", "md", "tex", "png"]),
            in_report(f"{PLANTED}/planted.html", "Study", "Label noise", "planted"),
            in_report(f"{PLANTED}/planted.svg", "Figures", "Label noise", "planted_figure"),
        log:
            f"{LOGS}/draw_planted.log",
        benchmark:
            f"{BENCHMARKS}/draw_planted.tsv"
        conda:
            "../../envs/tables.yaml"
        threads: 1
        resources:
            mem_mb=memory("draw_planted"),
            runtime=10,
        params:
            run=lambda wildcards: settings(
                "draw_planted.py", epochs=config["networks"]["epochs"], warnings=leaks(config)
            ),
        message:
            "Genre alone and with artist groups, by label noise"
        script:
            "../scripts/draw_planted.py"

    rule planted:
        input:
            rules.draw_planted.output,
        message:
            "Whether artist groups help stands in {input[1]}"

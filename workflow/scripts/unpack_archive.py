from pathlib import Path

from agf.corpus.archive import unpack
from agf.files import write_json
from agf.job import job

archive, out, params = Path(snakemake.input.archive), snakemake.output, snakemake.params
with job(snakemake.log[0]):
    counts = unpack(archive, archive.stem, params.folder, params.only, snakemake.threads)
    if hasattr(out, "unpacked"):
        write_json(counts, out.unpacked)

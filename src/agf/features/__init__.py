"""From audio to spectrograms, MFCC and Essentia descriptors, one Parquet file per shard."""

"""From music files and their metadata to tracks, rejected tracks and splits."""

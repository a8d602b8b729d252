"""The main job on one machine, without GPUs."""

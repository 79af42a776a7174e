"""Measurements: each prints ratios against a baseline of the same run on the same machine. See README.md."""

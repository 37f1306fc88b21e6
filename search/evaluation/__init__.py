"""The test set and the baselines: measured by one protocol, counted."""

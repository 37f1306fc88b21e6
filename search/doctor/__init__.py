"""What may be wrong on this machine and in its stores, and what can be mended."""

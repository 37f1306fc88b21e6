"""Which configuration to train next, and the memory of all of them: Optuna, MLflow, Dask."""

"""What a study has taught: the effect of each hyperparameter, in sentences and on a page."""

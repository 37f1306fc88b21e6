"""What leaves the house: the folder for a colleague, and the registered model."""

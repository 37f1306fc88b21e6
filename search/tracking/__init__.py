"""MLflow: what people see of studies and trials."""

"""What may vary: domains, configs, presets, and one space a task. No TensorFlow, no Optuna."""

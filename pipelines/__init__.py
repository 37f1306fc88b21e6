"""One configuration into one trained, scored model: data, networks, sessions, scores."""

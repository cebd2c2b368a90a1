"""Training: from a config to a trained state, whatever interrupts it."""

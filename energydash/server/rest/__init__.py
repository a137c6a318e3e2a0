"""REST: what the hub holds, for whoever asks once."""

"""Supervision: what runs where, each part's life, how all of it is seen and ended from elsewhere."""

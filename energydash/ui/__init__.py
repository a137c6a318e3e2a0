"""The dashboard: it knows the server by its wire alone."""

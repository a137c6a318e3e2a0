"""The hub and its doors: WebSocket and REST."""

"""Connectors: one folder a platform, each translating to and from the hub's words."""

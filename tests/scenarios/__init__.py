"""Loyalty scenarios from other products' tests and documents, played through this product."""

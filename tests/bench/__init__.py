"""Measurements: rates and their ratios within one run; a timing is never asserted in a test."""

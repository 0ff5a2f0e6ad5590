"""Bringing members over from another programme: their points, lots, tiers and dates out of a table."""

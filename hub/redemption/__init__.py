"""Spending points: hold, commit, release, and the voucher that carries the discount."""

"""The points ledger: entries, lots, the only writer, and the checker."""

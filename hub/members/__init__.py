"""Members, the identities channels know them by, and how they merge."""

"""One sale, many messages: contributions, the merge fold, look-ups."""

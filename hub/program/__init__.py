"""Program versions, the rules as pure functions, rewards."""

"""Pages in a real Chromium, in front of a real hub."""

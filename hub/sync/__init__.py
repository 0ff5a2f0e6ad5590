"""The path of a message: receive, process, push, reconcile, sweep."""

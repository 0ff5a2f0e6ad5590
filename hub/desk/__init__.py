"""What people do for a member by hand: each deed with its audit and what channels are told of it."""

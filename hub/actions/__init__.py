"""What members do besides buying: actions told by events, birthdays, referrals."""

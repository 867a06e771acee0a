"""Pages that every kind of account has."""

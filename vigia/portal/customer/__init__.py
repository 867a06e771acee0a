"""Pages for the customer: their own fleet and what it delivered."""

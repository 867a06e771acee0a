"""Rules and promises: pure, standard library only."""

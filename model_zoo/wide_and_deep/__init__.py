"""Wide & Deep on the Criteo display-ads format; see README.md."""

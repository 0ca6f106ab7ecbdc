"""Deep Interest Network (Zhou et al., 2018)."""

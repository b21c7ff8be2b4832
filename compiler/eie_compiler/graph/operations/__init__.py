"""Operations of the host between layers, each with one definition."""

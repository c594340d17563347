"""What a run is asked to do: sections, recipes, and how they are read."""

"""A reader of photographs: valence and arousal from a frozen vision encoder."""

"""`EmoSymPipeline`: understand and generate, inference only."""

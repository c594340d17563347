"""Pictures and labels in: safe decoding, one file per source, and the storybook world."""

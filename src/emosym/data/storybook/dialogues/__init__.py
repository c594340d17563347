"""Illustrated conversations of the storybook world, with exact truth for EmoVerse's tasks."""

"""Storybook's appraisal level: single cues tell nothing, only how two of them stand together."""

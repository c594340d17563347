"""How the storybook's base and its judges are made from nothing."""

"""From a story to its picture: scenes, lights, objects and the child, in each style."""

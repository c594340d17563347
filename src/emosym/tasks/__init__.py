"""What can be asked of a sample: one file a task, each from `task.Task`'s parts."""

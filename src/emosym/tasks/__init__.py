"""One file a task: a conversation from a sample, an answer parsed, measured, rewarded."""

"""The memory bank of stage 4: entries, named policies, storage."""

"""The reader's own anatomy on photographs, beside the kernel that is shipped."""

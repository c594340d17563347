"""One file a stage: align, rl, joint, feedback, and what several of them share."""

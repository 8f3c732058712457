"""The verbs that make a run or ask it something, one file each."""

"""What a rule file goes through over time: tests of its rules, the past, another version."""

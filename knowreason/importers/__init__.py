"""Files of other systems as projects, each with a report of what became of every line."""

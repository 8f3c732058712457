"""New events judged on a history that is kept ready."""

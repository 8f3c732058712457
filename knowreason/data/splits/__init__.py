"""Past and future, training and test, labels as history."""

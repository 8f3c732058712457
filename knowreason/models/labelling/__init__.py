"""Rules without labels: functions that vote or abstain, their accuracies, a model beside them."""

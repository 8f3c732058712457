"""Estimators of the learned parameters, each with the objective that it maximises."""

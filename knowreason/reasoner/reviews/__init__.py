"""Beliefs about data that differ in one thing: other facts, other values, a label hidden."""

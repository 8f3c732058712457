"""Warnings about programs that are allowed and yet probably not meant."""

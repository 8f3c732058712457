"""Sections of ``report.html``, one module each."""

"""The project file: its schema, settings, tables and plug-ins."""

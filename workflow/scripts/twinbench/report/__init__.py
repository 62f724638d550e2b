"""The report: what it says, section by section, and how it is written.

Each section's functions take the evidence and return tables and sentences; the template puts them in
order.
"""

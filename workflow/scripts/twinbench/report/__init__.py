"""The report: what it says, section by section, and how it is written as Markdown and as a page.

Each section is a function from the evidence to blocks of text, tables and figures; `contents` puts them
in order.
"""

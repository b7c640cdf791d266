"""Receipts as PDF: shaped and directed text, bundled fonts, the words of five languages. Knows no database."""

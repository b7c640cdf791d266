"""Foundations without a domain: database sessions, money, time, problems, pagination. Imports nothing of ours."""

"""Benchmarks of crm-api beside two reference applications and pgbench, in one run: `make bench`."""

"""Predicted giving: probability models fitted to what donors have done, and what they say of the years to come.

Pure functions over numpy arrays; nothing here reads a clock or a database. numpy and scipy are imported by the modules
that fit, which only a worker loads.
"""

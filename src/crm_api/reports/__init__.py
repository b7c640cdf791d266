"""Reports: figures over many records, as JSON, as CSV, and as anything else that can be made of a `Report`."""

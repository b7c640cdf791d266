"""Charts of reports: figures drawn as SVG or PNG, in the organization's language. Knows no database."""

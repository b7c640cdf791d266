"""Ways a letter leaves the house: SMTP, or files on disk for development and demonstrations."""

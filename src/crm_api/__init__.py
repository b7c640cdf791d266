"""crm-api: the headless CRM for charities and nonprofits."""

__version__ = "0.1.0"

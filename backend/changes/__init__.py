"""Changes to the platform that happen elsewhere and are reported here: deploys."""

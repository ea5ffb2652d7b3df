"""The service: FastAPI on PostgreSQL. Areas reach one another only through their `service` modules."""

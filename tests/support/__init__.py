"""What tests share: a PostgreSQL server, shared data, an application under test."""

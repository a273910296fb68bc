"""The database: tables, transactions, migrations, search of text, and durable jobs."""

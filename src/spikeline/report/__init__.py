"""What people look at: each table's page, the front page, and the tables about tables."""

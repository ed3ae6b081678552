"""What is asked of the tables: functions on a connection, each called inside a transaction."""

"""What control remembers: rows in our own words, behind one interface."""

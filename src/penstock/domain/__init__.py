"""Actions and rules in our own words, whichever door they were asked at."""

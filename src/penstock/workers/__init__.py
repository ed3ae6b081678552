"""Child processes around libav."""

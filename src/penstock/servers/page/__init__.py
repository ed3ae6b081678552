"""The play page: what a browser gets at a stream's own address, with nothing from elsewhere."""

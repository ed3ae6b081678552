"""Builds every room from the settings: the media plane (`engine`) and the control plane (`control`)."""

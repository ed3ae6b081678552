"""The handlers of the admin socket's verbs: they translate, and leave the deciding to `domain`."""

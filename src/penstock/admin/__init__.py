"""What an operator asks of a running server, beside what any cloud's API has: the verbs of the admin socket.

Pure: each verb is declared once, and the server, the command line and the docs go by it.
"""
